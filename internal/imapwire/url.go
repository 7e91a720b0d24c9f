package imapwire

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// URLMax is the longest IMAP URL that is understood, in octets: a mailbox name
// of any length, percent-encoded, has room in it.
const URLMax = 8 << 10

// tokenDigitsMin is the least length of an authorization token (RFC 5092 §11
// enc-urlauth).
const tokenDigitsMin = 32

// URLForm is how much of a URL is there (RFC 5092 §11).
type URLForm uint8

// The forms of URLs.
const (
	URLEmpty        URLForm = iota // ipath-empty
	URLAbsolute                    // imapurl
	URLNetworkPath                 // inetwork-path: //server/…
	URLAbsolutePath                // iabsolute-path: /mailbox/…
	URLRelativePath                // irelative-path
)

// URL is an IMAP URL, absolute or relative (RFC 5092). Its parts are
// percent-decoded; what is not there is zero.
type URL struct {
	Form     URLForm
	User     string // whose mailbox names are meant (§3.1)
	AuthType string // "*": any
	Host     string // as it was written
	Port     string

	Mailbox     string // in UTF-8
	UIDValidity uint32
	Search      string // arguments of SEARCH (§5)
	UID         uint32
	Section     Section
	Partial     bool
	Offset      int64 // octets, if Partial
	Count       int64 // likewise; 0: to the end

	URLAuth
}

// URLAuth is who may use a URL, and the proof of that (RFC 5092 §6.1, RFC
// 4467 §3).
type URLAuth struct {
	Expires    bool
	Expire     time.Time // until when, if Expires
	Access     string    // access identifier in lower case: submit+, user+, authuser, anonymous or one more; "": no URLAUTH
	AccessUser string    // behind an identifier with "+"
	Mechanism  string    // in upper case; "": not authorized yet
	Token      string    // in hexadecimal
	Rump       string    // the URL as it was written up to the access identifier
}

// ParseURL reads a URL by the grammar of RFC 5092 §11.
func ParseURL(text string) (u URL, ok bool) {
	p := urlParser{text: text, rest: text}
	if len(text) > URLMax {
		return u, false
	}
	p.parse()
	if p.bad || p.rest != "" {
		return URL{}, false
	}
	return p.u, true
}

type urlParser struct {
	text string
	rest string // what is not read yet
	u    URL
	bad  bool
}

func (p *urlParser) parse() {
	switch {
	case p.text == "":
		return
	case p.take("imap://"):
		p.u.Form = URLAbsolute
		p.server()
	case p.take("//"):
		p.u.Form = URLNetworkPath
		p.server()
	case p.text[0] == '/':
		p.u.Form = URLAbsolutePath
	default:
		p.u.Form = URLRelativePath
		first, _, _ := strings.Cut(p.text, "/")
		p.need(!strings.Contains(first, ":")) // another scheme (RFC 3986 §4.2)
	}
	var search string
	var hasSearch bool
	p.rest, search, hasSearch = strings.Cut(p.rest, "?")
	if p.u.Form != URLRelativePath {
		p.rest = strings.TrimPrefix(removeDotSegments(p.rest), "/")
	}
	list := p.path()
	if hasSearch {
		p.u.Search = p.decode(search, ":@/")
		p.need(list && search != "")
	}
}

// need makes the URL a bad one unless a condition holds.
func (p *urlParser) need(ok bool) { p.bad = p.bad || !ok }

// removeDotSegments resolves "." and ".." (RFC 3986 §5.2.4), which work on
// parameters as on names (RFC 5092 §7).
func removeDotSegments(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	all := strings.Split(path[1:], "/")
	var kept []string
	for i, s := range all {
		if s != "." && s != ".." {
			kept = append(kept, s)
			continue
		}
		if s == ".." && len(kept) > 0 {
			kept = kept[:len(kept)-1]
		}
		if i == len(all)-1 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

// take takes a text in any case, if it is next.
func (p *urlParser) take(text string) bool {
	if len(p.rest) < len(text) || !strings.EqualFold(p.rest[:len(text)], text) {
		return false
	}
	p.rest = p.rest[len(text):]
	return true
}

// value takes what is before the next parameter: ";" is nowhere else.
func (p *urlParser) value() (v string) {
	end := strings.IndexByte(p.rest, ';')
	if end < 0 {
		end = len(p.rest)
	} else if end > 0 && p.rest[end-1] == '/' {
		end--
	}
	v, p.rest = p.rest[:end], p.rest[end:]
	return v
}

// server reads iserver, up to the path.
func (p *urlParser) server() {
	end := strings.IndexByte(p.rest, '/')
	if end < 0 {
		end = len(p.rest)
	}
	host := p.rest[:end]
	p.rest = p.rest[end:]
	if info, after, ok := strings.Cut(host, "@"); ok {
		p.userInfo(info)
		host = after
	}
	if inner, ok := strings.CutPrefix(host, "["); ok { // an IPv6 address
		address, after, closed := strings.Cut(inner, "]")
		p.u.Host = "[" + address + "]"
		p.need(p.decode(address, ":") != "" && closed && (after == "" || after[0] == ':'))
		p.u.Port = strings.TrimPrefix(after, ":")
	} else {
		p.u.Host, p.u.Port, _ = strings.Cut(host, ":")
		p.need(p.decode(p.u.Host, ";") != "")
	}
	if p.u.Port != "" {
		_, err := strconv.ParseUint(p.u.Port, 10, 16)
		p.need(err == nil)
	}
}

// userInfo reads iuserinfo.
func (p *urlParser) userInfo(info string) {
	user, auth, has := strings.Cut(info, ";")
	p.u.User = p.decode(user, "")
	if !has {
		p.need(user != "")
		return
	}
	name, kind, _ := strings.Cut(auth, "=")
	p.need(strings.EqualFold(name, "AUTH") && kind != "")
	p.u.AuthType = p.decode(kind, "")
}

// path reads icommand, or in a relative path imsg-or-part, and tells whether it
// is a list of messages.
func (p *urlParser) path() (list bool) {
	relative := p.u.Form == URLRelativePath
	if mailbox := strings.TrimSuffix(p.value(), "/"); mailbox != "" {
		p.u.Mailbox = p.decode(mailbox, ":@/")
		if p.take(";UIDVALIDITY=") {
			p.u.UIDValidity = p.nonZero(p.value())
		}
	} else if relative && strings.HasPrefix(p.rest, ";") {
		p.rest = "/" + p.rest
	}
	if p.take("/;UID=") {
		p.u.UID = p.nonZero(p.value())
	}
	part := false
	if p.take("/;SECTION=") {
		part = true
		p.section(p.value())
	}
	if p.take("/;PARTIAL=") {
		part = true
		p.partial(p.value())
	}
	switch {
	case p.u.Mailbox == "":
		p.need(relative || p.u.UID == 0 && !part)
	case p.u.UID == 0:
		p.need(!part)
		return true
	case !relative:
		p.urlAuth()
	}
	return false
}

func (p *urlParser) nonZero(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	p.need(err == nil && n > 0)
	return uint32(n)
}

func (p *urlParser) section(text string) {
	s, ok := ParseSection(p.decode(text, ":@/"))
	p.need(ok && text != "")
	p.u.Section = s
}

// partial reads partial-range.
func (p *urlParser) partial(text string) {
	offset, count, has := strings.Cut(text, ".")
	n, err := strconv.ParseUint(offset, 10, 32)
	p.need(err == nil)
	p.u.Partial, p.u.Offset = true, int64(n)
	if has {
		p.u.Count = int64(p.nonZero(count))
	}
}

// urlAuth reads iurlauth or iurlauth-rump.
func (p *urlParser) urlAuth() {
	if p.u.Expires = p.take(";EXPIRE="); p.u.Expires {
		// RFC 3339 §5.6: "T" and "Z" in any case.
		p.need(p.u.Expire.UnmarshalText([]byte(strings.ToUpper(p.value()))) == nil)
	}
	if !p.take(";URLAUTH=") {
		p.need(!p.u.Expires)
		return
	}
	access, verifier, authorized := strings.Cut(p.rest, ":")
	p.rest = ""
	name, user, hasUser := strings.Cut(access, "+")
	p.u.Access = strings.ToLower(name)
	p.need(consistsOf(name, "", isAlphanumeric))
	if hasUser {
		p.u.Access += "+"
		p.u.AccessUser = p.decode(user, "")
		p.need(user != "")
	}
	if p.u.Rump = p.text; !authorized {
		return
	}
	mechanism, token, _ := strings.Cut(verifier, ":")
	rump, atEnd := strings.CutSuffix(p.text, ":"+verifier) // dot segments may have taken it elsewhere
	p.u.Mechanism, p.u.Token, p.u.Rump = strings.ToUpper(mechanism), token, rump
	p.need(atEnd && consistsOf(mechanism, "-.", isAlphanumeric) && len(token) >= tokenDigitsMin && consistsOf(token, "", isHexadecimal))
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isHexadecimal(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// consistsOf reports whether a text has octets, each of which is fit or in more.
func consistsOf(text, more string, fit func(byte) bool) bool {
	for i := range len(text) {
		if !fit(text[i]) && strings.IndexByte(more, text[i]) < 0 {
			return false
		}
	}
	return text != ""
}

// decode decodes a text of achar (RFC 5092 §11) and the octets in more: UTF-8
// without NUL.
func (p *urlParser) decode(text, more string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '%' && i+2 < len(text):
			n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			p.need(err == nil && n > 0)
			c = byte(n)
			i += 2
		case !isAlphanumeric(c) && strings.IndexByte("-._~!$'()*+,&=", c) < 0 && strings.IndexByte(more, c) < 0:
			p.need(false)
		}
		b.WriteByte(c)
	}
	p.need(utf8.ValidString(b.String()))
	return b.String()
}
