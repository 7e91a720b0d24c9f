package smtpwire

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a command.
const (
	LineMax   = 4096 // octets of a command line; RFC 5321 §4.5.3.1.4 asks for 512 and what extensions add
	PathMax   = 1000 // octets of an address; RFC 5321 §4.5.3.1.3 asks for 256
	ParamsMax = 20   // parameters of MAIL or RCPT
)

// ErrSyntax is an argument that is none of the grammar.
var ErrSyntax = errors.New("syntax error in the command's argument")

// SplitCommand returns a command line's verb in upper case and its argument.
func SplitCommand(line string) (verb, arg string) {
	verb, arg, _ = strings.Cut(line, " ")
	return strings.ToUpper(verb), strings.TrimSpace(arg)
}

// Path is the argument of MAIL or RCPT.
type Path struct {
	Address string            // without brackets and source route; "" for the null path
	Params  map[string]string // names in upper case
}

// ParsePath reads "FROM:<path> params" after its keyword, "FROM" or "TO"
// (RFC 5321 §4.1.2). A space behind the colon is taken: some clients send it.
func ParsePath(arg, keyword string) (p Path, err error) {
	if len(arg) <= len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) || arg[len(keyword)] != ':' {
		return p, ErrSyntax
	}
	rest := strings.TrimLeft(arg[len(keyword)+1:], " ")
	if !strings.HasPrefix(rest, "<") {
		return p, ErrSyntax
	}
	end := pathEnd(rest)
	if end < 0 || end > PathMax {
		return p, ErrSyntax
	}
	if p.Address, err = address(rest[1:end]); err != nil {
		return p, err
	}
	if p.Params, err = params(rest[end+1:]); err != nil {
		return Path{}, err
	}
	return p, nil
}

// pathEnd returns the index of the ">" that ends a path: not one in a quoted
// local part.
func pathEnd(s string) int {
	quoted := false
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && quoted:
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '>' && !quoted:
			return i
		}
	}
	return -1
}

// address takes the source route off and undoes needless quoting, so that one
// address has one spelling.
func address(s string) (string, error) {
	if strings.HasPrefix(s, "@") { // RFC 5321 §C
		_, after, ok := strings.Cut(s, ":")
		if !ok {
			return "", ErrSyntax
		}
		s = after
	}
	if !utf8.ValidString(s) {
		return "", ErrSyntax
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f {
			return "", ErrSyntax
		}
	}
	if !strings.HasPrefix(s, `"`) {
		if strings.ContainsAny(s, " <>\"") {
			return "", ErrSyntax
		}
		return s, nil
	}
	at := strings.LastIndexByte(s, '@')
	if at < 2 || s[at-1] != '"' {
		return "", ErrSyntax
	}
	var local strings.Builder
	for i := 1; i < at-1; i++ {
		if s[i] == '\\' {
			if i++; i >= at-1 {
				return "", ErrSyntax
			}
		}
		local.WriteByte(s[i])
	}
	return local.String() + s[at:], nil
}

func params(s string) (map[string]string, error) {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return nil, nil
	}
	if s[0] != ' ' || len(fields) > ParamsMax {
		return nil, ErrSyntax
	}
	m := make(map[string]string, len(fields))
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		name = strings.ToUpper(name)
		if _, twice := m[name]; twice || name == "" {
			return nil, ErrSyntax
		}
		m[name] = value
	}
	return m, nil
}

// ParseBDAT reads the argument of BDAT (RFC 3030 §2).
func ParseBDAT(arg string) (size int64, last bool, err error) {
	number, rest, _ := strings.Cut(arg, " ")
	size, err = strconv.ParseInt(number, 10, 64)
	if err != nil || size < 0 || number[0] == '+' {
		return 0, false, ErrSyntax
	}
	switch rest = strings.TrimSpace(rest); {
	case rest == "":
		return size, false, nil
	case strings.EqualFold(rest, "LAST"):
		return size, true, nil
	}
	return 0, false, ErrSyntax
}
