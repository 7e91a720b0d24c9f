// Package config is the syntax of the configuration file: TOML, strict, with
// defaults that need no reading. It reads no files.
package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// Version is the config_version that this program reads.
const Version = 1

// Config is the whole file. Zero values are filled in by Parse and Defaults.
type Config struct {
	ConfigVersion int      `toml:"config_version" comment:"Version of this file's syntax; always the first line."`
	Data          string   `toml:"data" comment:"Directory of the mail store. A change needs a restart."`
	Hostname      string   `toml:"hostname" comment:"Name of this server in greetings and trace fields; empty: the machine's."`
	DefaultDomain string   `toml:"default_domain" comment:"Domain of logins and recipients without one."`
	Listen        []string `toml:"listen" comment:"PROTO=ADDRESS each; PROTO: imap, imaps, pop3, pop3s, lmtp; ADDRESS: host:port, or the path of a UNIX socket."`
	SocketMode    string   `toml:"socket_mode" comment:"Permissions of UNIX sockets, in octal."`

	TLS     TLS     `toml:"tls"`
	Log     Log     `toml:"log"`
	Metrics Metrics `toml:"metrics"`
	Limits  Limits  `toml:"limits"`
	IMAP    IMAP    `toml:"imap"`
	POP3    POP3    `toml:"pop3"`
	Store   Store   `toml:"store"`
	Quota   Quota   `toml:"quota"`

	ApplePush ApplePush `toml:"apple_push"`
}

// TLS says where the certificate is.
type TLS struct {
	Certificate string `toml:"certificate" comment:"PEM file with the certificate chain; empty: one that the server makes itself."`
	Key         string `toml:"key" comment:"PEM file with the private key."`
	Required    bool   `toml:"required" comment:"Take passwords without TLS from nobody, not even from loopback: for a proxy on the same machine."`
}

// Log says what is logged.
type Log struct {
	Level       string   `toml:"level" comment:"debug, info, warn or error."`
	Format      string   `toml:"format" comment:"text or json. A change needs a restart."`
	SlowCommand Duration `toml:"slow_command" comment:"Warn of commands for which the server takes so long, without waiting for the client; 0s: of none."`
}

// Metrics says where the server's figures are shown.
type Metrics struct {
	Listen string `toml:"listen" comment:"Address at which /metrics answers in Prometheus' format: host:port on loopback, or the path of a UNIX socket; empty: nowhere."`
}

// Limits are what one server takes.
type Limits struct {
	Connections           int      `toml:"connections" comment:"Connections in all; never more than 0.8 of the open files that the system allows."`
	ConnectionsPerAddress int      `toml:"connections_per_address" comment:"Connections of one address (IPv6: of one /64). Loopback does not count."`
	SessionsPerAccount    int      `toml:"sessions_per_account" comment:"IMAP sessions of one account."`
	SessionsPerAddress    int      `toml:"sessions_per_account_and_address" comment:"IMAP sessions of one account from one address. Loopback does not count."`
	LoginTime             Duration `toml:"login_time" comment:"From the greeting to the login, at most 3m."`
	IdleTime              Duration `toml:"idle_time" comment:"Silence of an IMAP client after login, 30m to 24h."`
	MessageOctets         int64    `toml:"message_octets" comment:"The largest message."`
}

// IMAP holds options of IMAP.
type IMAP struct {
	SubmitUsers  []string `toml:"submit_users" comment:"Login names of submission servers: they may fetch messages by URLs that are for submission (RFC 4467)."`
	LiteralMinus bool     `toml:"literal_minus" comment:"Offer LITERAL- instead of LITERAL+ (RFC 7888): clients may not send more than 4096 octets unasked."`
	Anyone       bool     `toml:"share_with_anyone" comment:"Let users give rights for their mailboxes to anyone in their domain, before whose eyes they are then."`
	Offer        []string `toml:"offer" comment:"Capabilities that are not there unless they are named here: XLIST, X-GM-EXT-1."`
	Workarounds  []string `toml:"workarounds" comment:"Cuts for the bugs of clients that are ready made: apple-compress."`
	MessageLimit int      `toml:"message_limit" comment:"How many messages one command may be for (MESSAGELIMIT of RFC 9738), at least 1000; 0: any number."`
	SaveLimit    int      `toml:"save_limit" comment:"How many messages one COPY or APPEND may be for (SAVELIMIT of RFC 9738), at least 1000; 0: any number."`
	Cut          []Cut    `toml:"cut" comment:"Capabilities to be neither offered nor there, for some or for all; each cut needs a table of its own, [[imap.cut]]."`
}

// Cut takes capabilities away from the sessions for which each of its
// conditions holds; without any, from all.
type Cut struct {
	Capabilities []string `toml:"capabilities" comment:"Names like MOVE; THREAD stands for all that begin with THREAD= too."`
	Listeners    []string `toml:"listeners,omitempty" comment:"Entries of listen, or imap or imaps for all of that kind."`
	Users        []string `toml:"users,omitempty" comment:"Accounts; * stands for anything."`
	Clients      []string `toml:"clients,omitempty" comment:"Names that clients give themselves with ID, or NAME/VERSION; * stands for anything."`
}

// POP3 holds options of POP3.
type POP3 struct {
	Shared             bool `toml:"shared" comment:"Let several POP3 sessions of one account run at a time."`
	KeepSeen           bool `toml:"keep_seen" comment:"RETR leaves the flag \\Seen as it is."`
	FlagOnly           bool `toml:"flag_only" comment:"DELE sets \\Deleted instead of removing messages; POP3 does not show such messages."`
	HideImplementation bool `toml:"hide_implementation" comment:"CAPA does not name the program."`
}

// Store holds options of the mail store.
type Store struct {
	ExpungeRetention Duration `toml:"expunge_retention" comment:"How long the octets of expunged mail are kept. A change needs a restart."`
	CompressAfter    Duration `toml:"compress_after" comment:"Age from which mail is kept compressed; 0s: never. A change needs a restart."`
	ScrubEvery       Duration `toml:"scrub_every" comment:"In which time every octet is read once and compared with its checksum; 0s: never. A change needs a restart."`
}

// Quota holds what accounts may hold of which nothing else is said.
type Quota struct {
	Storage  Amount `toml:"storage" comment:"Octets of all messages: 500MiB, 10GiB; none: no limit."`
	Messages Count  `toml:"messages" comment:"Messages; none: no limit."`
	Bounce   bool   `toml:"bounce" comment:"Refuse mail for full accounts for good (552), so that senders learn of it; else for now (452), so that the MTA keeps it and tries again."`
}

// ApplePush says who tells Mail on iPhones and iPads of new messages.
type ApplePush struct {
	Enabled     bool   `toml:"enabled" comment:"Tell Mail on iPhones and iPads of new messages, through Apple's push service."`
	Certificate string `toml:"certificate" comment:"PEM file with the push certificate that Apple gave, with its chain if it has one."`
	Key         string `toml:"key" comment:"PEM file with its private key."`
	TokenKey    string `toml:"token_key" comment:"Instead of a certificate: file of Apple's (AuthKey_….p8) with a key that signs tokens."`
	TokenKeyID  string `toml:"token_key_id" comment:"Apple's id of that key."`
	TeamID      string `toml:"team_id" comment:"Apple's id of the developer team that the key is of."`
	Topic       string `toml:"topic" comment:"Topic that the team may push; a certificate has its own."`
}

// check says what is wrong.
func (p *ApplePush) check(bad func(format string, a ...any)) {
	token := 0
	for _, v := range []string{p.TokenKey, p.TokenKeyID, p.TeamID, p.Topic} {
		if v != "" {
			token++
		}
	}
	certificate := p.Certificate != "" || p.Key != ""
	switch {
	case certificate && token > 0:
		bad("apple_push needs either a certificate or a token_key: take one away")
	case certificate && (p.Certificate == "" || p.Key == ""):
		bad("apple_push needs both certificate and key, or neither")
	case token > 0 && token < 4:
		bad("apple_push needs all of token_key, token_key_id, team_id and topic, or none")
	case p.Enabled && !certificate && token == 0:
		bad("apple_push is enabled, but names no certificate: name the push certificate that Apple gave you and its key, or a token_key")
	}
}

// Amount is a number of octets; -1: any.
type Amount int64

// units of amounts, largest first.
var units = []struct {
	name   string
	octets int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// String returns the amount as it is written.
func (a Amount) String() string {
	if a < 0 {
		return "none"
	}
	for _, u := range units {
		if a > 0 && int64(a)%u.octets == 0 {
			return strconv.FormatInt(int64(a)/u.octets, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(a), 10)
}

// MarshalText returns String.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads a number with or without a unit, or none, which is -1.
func (a *Amount) UnmarshalText(b []byte) error {
	text, factor := string(b), int64(1)
	if text == "none" || text == "-1" {
		*a = -1
		return nil
	}
	for _, u := range units {
		if number, ok := strings.CutSuffix(text, u.name); ok {
			text, factor = number, u.octets
		}
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/factor {
		return fmt.Errorf("%q is no amount like 1000, 500MiB or 10GiB, nor none", b)
	}
	*a = Amount(int64(n) * factor)
	return nil
}

// Count is a number of things; -1: any.
type Count int64

// String returns the number as it is written.
func (n Count) String() string {
	if n < 0 {
		return "none"
	}
	return strconv.FormatInt(int64(n), 10)
}

// MarshalText returns String.
func (n Count) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads a number, or none, which is -1.
func (n *Count) UnmarshalText(b []byte) error {
	if string(b) == "none" || string(b) == "-1" {
		*n = -1
		return nil
	}
	v, err := strconv.ParseUint(string(b), 10, 63)
	if err != nil {
		return fmt.Errorf("%q is no number like 1000, nor none", b)
	}
	*n = Count(v)
	return nil
}

// Duration is a time span in Go's notation: 90s, 5m, 336h.
type Duration time.Duration

// MarshalText returns the span as it is written.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads a span.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no time span like 90s, 5m or 336h", b)
	}
	*d = Duration(v)
	return nil
}

// Defaults returns the configuration of an empty file.
func Defaults() *Config {
	return &Config{
		ConfigVersion: Version, Data: "/var/lib/angarium", DefaultDomain: "localhost", SocketMode: "0666",
		Listen: []string{"imap=127.0.0.1:10143", "imaps=127.0.0.1:10993", "pop3=127.0.0.1:10110", "pop3s=127.0.0.1:10995", "lmtp=127.0.0.1:10024"},
		Log:    Log{Level: "info", Format: "text", SlowCommand: Duration(2 * time.Second)},
		Limits: Limits{Connections: 16_000, ConnectionsPerAddress: 100, SessionsPerAccount: 100, SessionsPerAddress: 30, LoginTime: Duration(time.Minute), IdleTime: Duration(31 * time.Minute), MessageOctets: 50 << 20},
		IMAP:   IMAP{SubmitUsers: []string{}},
		Store:  Store{ExpungeRetention: Duration(14 * 24 * time.Hour), CompressAfter: Duration(24 * time.Hour), ScrubEvery: Duration(7 * 24 * time.Hour)},
		Quota:  Quota{Storage: -1, Messages: -1},
	}
}

// Parse reads a file on top of the defaults. name is for messages. All that is
// wrong is in the error, one line each, with its place in the file.
func Parse(name string, data []byte) (*Config, error) {
	c := Defaults()
	c.ConfigVersion = 0
	d := toml.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, explain(name, err)
	}
	if c.ConfigVersion == 0 {
		return nil, fmt.Errorf("%s: config_version is missing: write \"config_version = %d\" as the first line", name, Version)
	}
	if err := c.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// explain turns the decoder's error into lines that say where and what.
func explain(name string, err error) error {
	var strict *toml.StrictMissingError
	var decode *toml.DecodeError
	switch {
	case errors.As(err, &strict):
		var lines []error
		for i := range strict.Errors {
			e := &strict.Errors[i]
			row, _ := e.Position()
			key := strings.Join(e.Key(), ".")
			lines = append(lines, fmt.Errorf("%s:%d: unknown key %q; did you mean %q?", name, row, key, nearest(key, Keys())))
		}
		return errors.Join(lines...)
	case errors.As(err, &decode):
		row, column := decode.Position()
		return fmt.Errorf("%s:%d:%d: %s", name, row, column, strings.TrimPrefix(decode.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", name, err)
}

// Keys returns all keys of the file, with dots between table and key.
func Keys() []string { return keysOf(reflect.TypeFor[Config](), "") }

func keysOf(t reflect.Type, prefix string) (keys []string) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		key := prefix + name
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, keysOf(f.Type, key+".")...)
			continue
		}
		if f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct {
			keys = append(keys, keysOf(f.Type.Elem(), key+".")...)
			continue
		}
		keys = append(keys, key)
	}
	return keys
}

// nearest returns the valid name that takes the fewest edits.
func nearest(name string, valid []string) string {
	return slices.MinFunc(valid, func(a, b string) int { return distance(name, a) - distance(name, b) })
}

// distance is the number of octets to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Check says what is wrong with the values.
func (c *Config) Check() error {
	var wrong []error
	bad := func(format string, a ...any) { wrong = append(wrong, fmt.Errorf(format, a...)) }
	if c.ConfigVersion != Version {
		bad("config_version is %d; this program reads %d", c.ConfigVersion, Version)
	}
	if c.Data == "" {
		bad("data is empty: name the directory of the mail store")
	}
	if c.DefaultDomain == "" || strings.ContainsAny(c.DefaultDomain, "@ /") {
		bad("default_domain %q is no domain", c.DefaultDomain)
	}
	if len(c.Listen) == 0 {
		bad("listen is empty: nobody could connect")
	}
	for i, l := range c.Listen {
		if _, err := ParseListener(l); err != nil {
			bad("listen: %w", err)
		}
		if slices.Contains(c.Listen[:i], l) {
			bad("listen: %q is there twice", l)
		}
	}
	if _, err := c.Mode(); err != nil {
		bad("socket_mode %q is no octal number like 0660", c.SocketMode)
	}
	for _, name := range c.IMAP.SubmitUsers {
		if name == "" || strings.ContainsAny(name, " /") {
			bad("imap.submit_users: %q is no login name", name)
		}
	}
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		bad("tls needs both certificate and key, or neither")
	}
	c.ApplePush.check(bad)
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.Log.Level) {
		bad("log.level %q is none of debug, info, warn, error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		bad("log.format %q is neither text nor json", c.Log.Format)
	}
	if _, _, err := c.MetricsAddress(); err != nil {
		bad("metrics.listen: %w", err)
	}
	for key, limit := range map[string]struct{ value, ceiling int64 }{
		"connections":                      {int64(c.Limits.Connections), 1 << 20},
		"connections_per_address":          {int64(c.Limits.ConnectionsPerAddress), 1 << 20},
		"sessions_per_account":             {int64(c.Limits.SessionsPerAccount), 1 << 20},
		"sessions_per_account_and_address": {int64(c.Limits.SessionsPerAddress), 1 << 20},
		"message_octets":                   {c.Limits.MessageOctets, 1 << 30},
	} {
		if limit.value < 1 || limit.value > limit.ceiling {
			bad("limits.%s is %d; it must be from 1 to %d", key, limit.value, limit.ceiling)
		}
	}
	for key, span := range map[string]struct{ value, floor, ceiling Duration }{
		"login_time": {c.Limits.LoginTime, Duration(time.Second), Duration(3 * time.Minute)},
		"idle_time":  {c.Limits.IdleTime, Duration(30 * time.Minute), Duration(24 * time.Hour)}, // RFC 3501 §5.4
	} {
		if span.value < span.floor || span.value > span.ceiling {
			bad("limits.%s is %s; it must be from %s to %s", key, time.Duration(span.value), time.Duration(span.floor), time.Duration(span.ceiling))
		}
	}
	for key, limit := range map[string]int{"message_limit": c.IMAP.MessageLimit, "save_limit": c.IMAP.SaveLimit} {
		if limit != 0 && (limit < 1000 || limit > math.MaxInt32) { // RFC 9738 §3
			bad("imap.%s is %d; it must be 0, or from 1000 to %d", key, limit, math.MaxInt32)
		}
	}
	for key, amount := range map[string]int64{"storage": int64(c.Quota.Storage), "messages": int64(c.Quota.Messages)} {
		if amount < -1 {
			bad("quota.%s is %d; it must be 0 or more, or none", key, amount)
		}
	}
	if c.IMAP.MessageLimit > 0 && c.IMAP.SaveLimit > 0 {
		bad("imap.message_limit holds for COPY and APPEND too: leave imap.save_limit at 0")
	}
	for _, cut := range c.IMAP.Cut {
		if len(cut.Capabilities) == 0 {
			bad("imap.cut names no capabilities")
		}
		for _, l := range cut.Listeners {
			if l != "imap" && l != "imaps" && !slices.Contains(c.Listen, l) {
				bad("imap.cut: %q is neither imap, imaps nor an entry of listen", l)
			}
		}
	}
	return errors.Join(wrong...)
}

// Names are those that IMAP gives to what can be configured.
type Names struct {
	Capabilities []string // that there are
	Optional     []string // that offer may name
	Workarounds  []string
}

// CheckNames says which names in the configuration are none. THREAD stands for
// the capabilities with THREAD= before them.
func (c *Config) CheckNames(known Names) error {
	var wrong []error
	for key, n := range map[string]struct{ named, known []string }{
		"offer":       {c.IMAP.Offer, known.Optional},
		"workarounds": {c.IMAP.Workarounds, known.Workarounds},
	} {
		for _, name := range n.named {
			if !slices.ContainsFunc(n.known, func(k string) bool { return strings.EqualFold(k, name) }) {
				wrong = append(wrong, fmt.Errorf("imap.%s: %q is not one of %s", key, name, strings.Join(n.known, ", ")))
			}
		}
	}
	for _, cut := range c.IMAP.Cut {
		for _, name := range cut.Capabilities {
			upper := strings.ToUpper(name)
			if !slices.ContainsFunc(known.Capabilities, func(k string) bool {
				k = strings.ToUpper(k)
				return k == upper || strings.HasPrefix(k, upper+"=")
			}) {
				wrong = append(wrong, fmt.Errorf("imap.cut: there is no capability %q; did you mean %q?", name, nearest(upper, known.Capabilities)))
			}
		}
	}
	return errors.Join(wrong...)
}

// MetricsAddress returns Metrics.Listen as net.Listen takes it, "" for nowhere.
// Only the machine itself may ask: the figures have no password.
func (c *Config) MetricsAddress() (network, address string, err error) {
	address = c.Metrics.Listen
	if address == "" || strings.Contains(address, "/") {
		return "unix", address, nil
	}
	colon := strings.LastIndexByte(address, ':')
	host := strings.Trim(address[:max(colon, 0)], "[]")
	if ip, err := netip.ParseAddr(host); colon < 0 || host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return "", "", fmt.Errorf("%q is neither a port of loopback, like 127.0.0.1:9464, nor the path of a UNIX socket", address)
	}
	return "tcp", address, nil
}

// Mode returns SocketMode as a number.
func (c *Config) Mode() (uint32, error) {
	n, err := strconv.ParseUint(c.SocketMode, 8, 9)
	return uint32(n), err
}

// Listener is one entry of listen.
type Listener struct {
	Protocol string // imap, imaps, pop3, pop3s, lmtp
	Network  string // tcp, unix
	Address  string
}

// Protocols are what can be listened for.
var Protocols = []string{"imap", "imaps", "pop3", "pop3s", "lmtp"}

// ParseListener reads PROTO=ADDRESS.
func ParseListener(s string) (Listener, error) {
	proto, addr, ok := strings.Cut(s, "=")
	if !ok || !slices.Contains(Protocols, proto) {
		return Listener{}, fmt.Errorf("%q is not PROTO=ADDRESS with PROTO one of %s", s, strings.Join(Protocols, ", "))
	}
	if strings.Contains(addr, "/") {
		return Listener{proto, "unix", addr}, nil
	}
	if colon := strings.LastIndexByte(addr, ':'); colon < 0 || colon == len(addr)-1 || strings.Contains(addr[:colon], ":") && !strings.HasPrefix(addr, "[") {
		return Listener{}, fmt.Errorf("%q: %q is neither host:port nor the path of a UNIX socket", s, addr)
	}
	return Listener{proto, "tcp", addr}, nil
}

// Text returns the configuration as a file, with every key and what it means.
func (c *Config) Text() (string, error) {
	b, err := toml.Marshal(c)
	return string(b), err
}
