package imapwire

import (
	"strconv"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/message"
)

// How an octet can stand in a quoted string (RFC 3501 §9 TEXT-CHAR, QUOTED-CHAR).
const (
	escaped    = 1 << iota // behind a backslash
	unquotable             // not at all
)

var quoting = func() (of [256]byte) {
	of['"'], of['\\'] = escaped, escaped
	of[0], of['\r'], of['\n'] = unquotable, unquotable, unquotable
	for c := 0x80; c < len(of); c++ {
		of[c] = unquotable
	}
	return of
}()

// quotedMax is the length of the longest string that is quoted.
const quotedMax = 1000

// AppendString appends s as a quoted string, or as a literal when it cannot
// be one.
func AppendString(dst []byte, s string) []byte {
	var found byte
	for i := range len(s) {
		found |= quoting[s[i]]
	}
	switch {
	case found&unquotable != 0 || len(s) > quotedMax:
		dst = append(dst, '{')
		dst = strconv.AppendInt(dst, int64(len(s)), 10)
		dst = append(dst, "}\r\n"...)
		return append(dst, s...)
	case found == 0:
		return append(append(append(dst, '"'), s...), '"')
	}
	return append(appendEscaped(append(dst, '"'), s), '"')
}

func appendEscaped(dst []byte, s string) []byte {
	for i := range len(s) {
		if quoting[s[i]] == escaped {
			dst = append(dst, '\\')
		}
		dst = append(dst, s[i])
	}
	return dst
}

// AppendNString appends s, or NIL when it is empty.
func AppendNString(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "NIL"...)
	}
	return AppendString(dst, s)
}

// AppendAString appends s as an atom where it can be one.
func AppendAString(dst []byte, s string) []byte {
	atom := s != "" && !strings.EqualFold(s, "NIL")
	for i := 0; i < len(s) && atom; i++ {
		atom = isAtom(s[i])
	}
	if atom {
		return append(dst, s...)
	}
	return AppendString(dst, s)
}

// AppendMailbox appends a mailbox name, given in UTF-8, as such when the client
// understands that (RFC 9051 §5.1, RFC 6855 §3).
func AppendMailbox(dst []byte, name string, utf8 bool) []byte {
	if !utf8 {
		return AppendAString(dst, EncodeUTF7(name))
	}
	for i := range len(name) {
		if name[i] >= 0x80 {
			return append(appendEscaped(append(dst, '"'), name), '"')
		}
	}
	return AppendAString(dst, name)
}

// AppendDate appends a date-time (RFC 3501 §9). Years have four digits.
func AppendDate(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	_, zone := t.Zone()
	sign := byte('+')
	if zone /= 60; zone < 0 {
		sign, zone = '-', -zone
	}
	dst = append(dst, '"')
	if day < 10 {
		dst = append(dst, ' ', '0'+byte(day))
	} else {
		dst = appendTwo(dst, day)
	}
	dst = append(dst, '-')
	dst = append(append(dst, month.String()[:3]...), '-')
	dst = append(appendTwo(appendTwo(dst, year/100), year%100), ' ')
	dst = append(appendTwo(dst, hour), ':')
	dst = append(appendTwo(dst, minute), ':')
	dst = append(appendTwo(dst, second), ' ', sign)
	return append(appendTwo(appendTwo(dst, zone/60), zone%60), '"')
}

// appendTwo appends a number as two digits.
func appendTwo(dst []byte, n int) []byte {
	return append(dst, '0'+byte(n/10%10), '0'+byte(n%10))
}

// AppendEnvelope appends an envelope (RFC 3501 §7.4.2).
func AppendEnvelope(dst []byte, e *message.Envelope) []byte {
	dst = append(dst, '(')
	dst = appendPresent(dst, e.Date, e.HasDate)
	dst = append(dst, ' ')
	dst = appendPresent(dst, e.Subject, e.HasSubject)
	for _, list := range [...][]message.Address{e.From, e.Sender, e.ReplyTo, e.To, e.Cc, e.Bcc} {
		dst = append(dst, ' ')
		dst = appendAddresses(dst, list)
	}
	dst = append(dst, ' ')
	dst = AppendNString(dst, e.InReplyTo)
	dst = append(dst, ' ')
	dst = AppendNString(dst, e.MessageID)
	return append(dst, ')')
}

func appendPresent(dst []byte, s string, present bool) []byte {
	if present {
		return AppendString(dst, s)
	}
	return append(dst, "NIL"...)
}

func appendAddresses(dst []byte, list []message.Address) []byte {
	if len(list) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for i := range list {
		a := &list[i]
		dst = append(dst, '(')
		dst = AppendNString(dst, a.Name)
		dst = append(dst, ' ')
		dst = AppendNString(dst, a.Route)
		dst = append(dst, ' ')
		switch {
		case a.Mailbox != "" || a.Host == "" && a.Name == "":
			dst = AppendNString(dst, a.Mailbox)
		default:
			dst = append(dst, `""`...) // NIL would mean a group's end
		}
		dst = append(dst, ' ')
		if a.Host == message.NoHost {
			dst = append(dst, `""`...)
		} else {
			dst = AppendNString(dst, a.Host)
		}
		dst = append(dst, ')')
	}
	return append(dst, ')')
}

// AppendBody appends BODY, or with ext BODYSTRUCTURE, of a message (RFC 3501
// §7.4.2). Part trees are at most message.DepthMax deep.
func AppendBody(dst []byte, s *message.Summary, ext bool) []byte { return appendPart(dst, s, 0, ext) }

func appendPart(dst []byte, s *message.Summary, i int32, ext bool) []byte {
	p := &s.Parts[i]
	if p.IsMultipart() {
		return appendMultipart(dst, s, i, ext)
	}
	if strings.EqualFold(p.Type, "multipart") && p.Children == 0 {
		return appendEmptyMultipart(dst, p, ext)
	}
	dst = append(dst, '(')
	dst = AppendString(dst, p.Type)
	dst = append(dst, ' ')
	dst = AppendString(dst, p.Subtype)
	dst = append(dst, ' ')
	dst = appendParams(dst, p.Params)
	dst = append(dst, ' ')
	dst = AppendNString(dst, p.ID)
	dst = append(dst, ' ')
	dst = AppendNString(dst, p.Description)
	dst = append(dst, ' ')
	encoding := p.Encoding
	if encoding == "" {
		encoding = "7bit" // RFC 2045 §6.1
	}
	dst = AppendString(dst, encoding)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, p.Size(), 10)
	switch {
	case p.IsMessage():
		inner := s.Child(i, 0)
		dst = append(dst, ' ')
		dst = AppendEnvelope(dst, s.Parts[inner].Envelope)
		dst = append(dst, ' ')
		dst = appendPart(dst, s, inner, ext)
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, p.Lines, 10)
	case strings.EqualFold(p.Type, "message") && strings.EqualFold(p.Subtype, "rfc822"):
		// One that was not looked into still needs the fields of its type.
		dst = append(dst, " (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) (\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0) "...)
		dst = strconv.AppendInt(dst, p.Lines, 10)
	case strings.EqualFold(p.Type, "text"):
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, p.Lines, 10)
	}
	if ext {
		dst = append(dst, ' ')
		dst = AppendNString(dst, p.MD5)
		dst = appendExtension(dst, p)
	}
	return append(dst, ')')
}

func appendMultipart(dst []byte, s *message.Summary, i int32, ext bool) []byte {
	p := &s.Parts[i]
	dst = append(dst, '(')
	for c := s.Child(i, 0); c > 0; c = s.Next(c) {
		dst = appendPart(dst, s, c, ext)
	}
	return appendMultipartEnd(dst, p, ext)
}

func appendMultipartEnd(dst []byte, p *message.Part, ext bool) []byte {
	dst = append(dst, ' ')
	dst = AppendString(dst, p.Subtype)
	if ext {
		dst = append(dst, ' ')
		dst = appendParams(dst, p.Params)
		dst = appendExtension(dst, p)
	}
	return append(dst, ')')
}

// appendEmptyMultipart shows a multipart in which no part was found with one
// empty part, since the grammar demands one.
func appendEmptyMultipart(dst []byte, p *message.Part, ext bool) []byte {
	dst = append(dst, `(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0`...)
	if ext {
		dst = append(dst, " NIL NIL NIL NIL"...)
	}
	dst = append(dst, ')')
	return appendMultipartEnd(dst, p, ext)
}

// appendExtension appends disposition, language and location.
func appendExtension(dst []byte, p *message.Part) []byte {
	dst = append(dst, ' ')
	if p.Disposition == "" {
		dst = append(dst, "NIL"...)
	} else {
		dst = append(dst, '(')
		dst = AppendString(dst, p.Disposition)
		dst = append(dst, ' ')
		dst = appendParams(dst, p.DispositionParams)
		dst = append(dst, ')')
	}
	dst = append(dst, ' ')
	switch len(p.Languages) {
	case 0:
		dst = append(dst, "NIL"...)
	case 1:
		dst = AppendString(dst, p.Languages[0])
	default:
		dst = append(dst, '(')
		for i, l := range p.Languages {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = AppendString(dst, l)
		}
		dst = append(dst, ')')
	}
	dst = append(dst, ' ')
	return AppendNString(dst, p.Location)
}

func appendParams(dst []byte, params []message.Param) []byte {
	if len(params) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for i, p := range params {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = AppendString(dst, p.Name)
		dst = append(dst, ' ')
		dst = AppendString(dst, p.Value)
	}
	return append(dst, ')')
}
