package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	c, err := Parse("a.toml", []byte("config_version = 1\ndata = \"/d\"\nlisten = [\"imap=:143\", \"lmtp=/run/l.sock\"]\n[store]\nexpunge_retention = \"1h\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "/d" || c.DefaultDomain != "localhost" || len(c.Listen) != 2 || c.Store.ExpungeRetention.String() != "1h0m0s" {
		t.Errorf("%+v", c)
	}
}

func (d Duration) String() string { b, _ := d.MarshalText(); return string(b) }

func TestErrors(t *testing.T) {
	for in, want := range map[string]string{
		"data = \"/d\"\n":                                                                          `a.toml: config_version is missing`,
		"config_version = 1\ndta = \"/d\"\n":                                                       `a.toml:2: unknown key "dta"; did you mean "data"?`,
		"config_version = 1\n[limits]\nconections = 1\n":                                           `a.toml:3: unknown key "limits.conections"; did you mean "limits.connections"?`,
		"config_version = 2\n":                                                                     `config_version is 2; this program reads 1`,
		"config_version = 1\nlisten = [\"smtp=:25\"]\n":                                            `"smtp=:25" is not PROTO=ADDRESS`,
		"config_version = 1\nlisten = [\"imap=143\"]\n":                                            `neither host:port nor`,
		"config_version = 1\nlisten = [\"imap=:143\", \"imap=:143\"]\n":                            `twice`,
		"config_version = 1\nlisten = []\n":                                                        `listen is empty`,
		"config_version = 1\ndata = 3\n":                                                           `a.toml:2:`,
		"config_version = 1\n[tls]\nkey = \"k\"\n":                                                 `tls needs both`,
		"config_version = 1\n[log]\nlevel = \"loud\"\n":                                            `log.level "loud"`,
		"config_version = 1\n[limits]\nmessage_octets = 1073741825\n":                              `limits.message_octets is 1073741825; it must be from 1 to 1073741824`,
		"config_version = 1\n[limits]\nidle_time = \"29m59s\"\n":                                   `limits.idle_time is 29m59s; it must be from 30m0s to 24h0m0s`,
		"config_version = 1\n[limits]\nlogin_time = \"3m1s\"\n":                                    `limits.login_time is 3m1s`,
		"config_version = 1\n[limits]\nconnections = 0\n":                                          `limits.connections is 0`,
		"config_version = 1\n[imap]\nmessage_limit = 999\n":                                        `imap.message_limit is 999; it must be 0, or from 1000`,
		"config_version = 1\n[imap]\nsave_limit = -1\n":                                            `imap.save_limit is -1`,
		"config_version = 1\n[imap]\nmessage_limit = 1000\nsave_limit = 1000\n":                    `leave imap.save_limit at 0`,
		"config_version = 1\n[imap]\nsubmit_users = [\"\"]\n":                                      `imap.submit_users: "" is no login name`,
		"config_version = 1\nsocket_mode = \"0999\"\n":                                             `socket_mode "0999"`,
		"config_version = 1\ndefault_domain = \"a@b\"\n":                                           `is no domain`,
		"config_version = 1\n[store]\nexpunge_retention = \"-1h\"\n":                               `no time span`,
		"config_version = 1\ndata = \"/d\"\ndata = \"/e\"\n":                                       `a.toml:3:`,
		"config_version = 1\n[[imap.cut]]\nuser = [\"a\"]\n":                                       `unknown key "imap.cut.user"; did you mean "imap.cut.users"?`,
		"config_version = 1\n[[imap.cut]]\nusers = [\"a\"]\n":                                      `imap.cut names no capabilities`,
		"config_version = 1\n[[imap.cut]]\ncapabilities = [\"ID\"]\nlisteners = [\"imap=:1\"]\n":   `"imap=:1" is neither imap, imaps nor an entry of listen`,
		"config_version = 1\n[metrics]\nlisten = \":9464\"\n":                                      `metrics.listen: ":9464" is neither a port of loopback`,
		"config_version = 1\n[metrics]\nlisten = \"192.0.2.1:80\"\n":                               `metrics.listen: "192.0.2.1:80" is neither`,
		"config_version = 1\n[quota]\nstorage = \"10 GB\"\n":                                       `a.toml:3:11: "10 GB" is no amount like 1000, 500MiB or 10GiB, nor none`,
		"config_version = 1\n[quota]\nmessages = \"1KiB\"\n":                                       `a.toml:3:12: "1KiB" is no number like 1000, nor none`,
		"config_version = 1\n[quota]\nmessages = -2\n":                                             `quota.messages is -2; it must be 0 or more, or none`,
		"config_version = 1\n[quota]\nstorage = \"8388608TiB\"\n":                                  `"8388608TiB" is no amount`,
		"config_version = 1\n[apple_push]\nenabled = true\n":                                       `apple_push is enabled, but names no certificate`,
		"config_version = 1\n[apple_push]\nkey = \"k\"\n":                                          `apple_push needs both certificate and key`,
		"config_version = 1\n[apple_push]\ntopic = \"t\"\nteam_id = \"t\"\ntoken_key_id = \"k\"\n": `apple_push needs all of token_key, token_key_id, team_id and topic`,
		"config_version = 1\n[apple_push]\ncertificate = \"c\"\nkey = \"k\"\ntopic = \"t\"\n":      `apple_push needs either a certificate or a token_key`,
	} {
		_, err := Parse("a.toml", []byte(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// TestAmounts: an amount is read as it is written, as a string or a number.
func TestAmounts(t *testing.T) {
	c, err := Parse("a.toml", []byte("config_version = 1\n[quota]\nstorage = \"10GiB\"\nmessages = 1500\n"))
	if err != nil || c.Quota.Storage != 10<<30 || c.Quota.Messages != 1500 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, text := range []string{"none", "0", "1", "1023", "1KiB", "1025", "1536MiB", "10GiB", "8388607TiB", "9223372036854775807"} {
		var a Amount
		if err := a.UnmarshalText([]byte(text)); err != nil || a.String() != text {
			t.Errorf("%s: %s, %v", text, a, err)
		}
	}
	for _, text := range []string{"none", "0", "1024", "1048576", "9223372036854775807"} {
		var n Count
		if err := n.UnmarshalText([]byte(text)); err != nil || n.String() != text {
			t.Errorf("%s: %s, %v", text, n, err)
		}
	}
}

// TestCapabilities: names that are none are told with the nearest one.
func TestCapabilities(t *testing.T) {
	known := []string{"IDLE", "MOVE", "THREAD=REFERENCES", "THREAD=REFS", "IMAP4rev2"}
	for name, want := range map[string]string{
		"MOVE": "", "move": "", "THREAD": "", "thread=refs": "", "IMAP4REV2": "",
		"MOOV":        `imap.cut: there is no capability "MOOV"; did you mean "MOVE"?`,
		"THREAD=REF":  `imap.cut: there is no capability "THREAD=REF"; did you mean "THREAD=REFS"?`,
		"THREAD=":     `imap.cut: there is no capability "THREAD="; did you mean "THREAD=REFS"?`,
		"THREAD=REFX": `imap.cut: there is no capability "THREAD=REFX"; did you mean "THREAD=REFS"?`,
	} {
		c := Defaults()
		c.IMAP.Cut = []Cut{{Capabilities: []string{"IDLE", name}}}
		got := ""
		if err := c.CheckNames(Names{Capabilities: known}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestOffer: only what is optional can be offered, and workarounds have names.
func TestOffer(t *testing.T) {
	for name, ok := range map[string]bool{"XLIST": true, "xlist": true, "MOVE": false, "": false} {
		c, known := Defaults(), Names{Capabilities: []string{"MOVE", "XLIST"}, Optional: []string{"XLIST"}}
		c.IMAP.Offer = []string{name}
		if err := c.CheckNames(known); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
		c.IMAP.Offer, c.IMAP.Workarounds = nil, []string{name}
		if err := c.CheckNames(known); err == nil || !strings.HasPrefix(err.Error(), "imap.workarounds: ") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// TestText: what is shown can be read, and is the same.
func TestText(t *testing.T) {
	c := Defaults()
	c.POP3.FlagOnly = true
	c.IMAP.Offer, c.IMAP.Workarounds = []string{"XLIST"}, []string{"apple-compress"}
	c.IMAP.Cut = []Cut{{Capabilities: []string{"MOVE"}, Users: []string{"ada@example.org"}}, {Capabilities: []string{"ID"}, Listeners: []string{"imap"}}}
	text, err := c.Text()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("shown", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(c, again) {
		t.Errorf("%+v became %+v", c, again)
	}
}

// TestHandbook: the handbook names every key, and no other.
func TestHandbook(t *testing.T) {
	b, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\|").FindAllStringSubmatch(string(b), -1) {
		named[m[1]] = true
	}
	for _, k := range Keys() {
		if !named[k] {
			t.Errorf("docs/configuration.md does not name %q", k)
		}
		delete(named, k)
	}
	for k := range named {
		t.Errorf("docs/configuration.md names %q, which is no key", k)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("config_version = 1\n[limits]\nconections = 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := Parse("f", data); err == nil && c.Check() != nil {
			t.Error("a configuration that is wrong was taken")
		}
	})
}
