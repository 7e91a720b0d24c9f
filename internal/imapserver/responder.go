package imapserver

import (
	"strconv"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// line sends one line. The connection keeps a write error for the next Flush.
func (s *session) line(text string) {
	s.conn.WriteString(text)
	s.conn.WriteString("\r\n")
}

// tagged sends the command's last line.
func (s *session) tagged(word, code, text string) {
	b := append(s.conn.AvailableBuffer(), s.tag...)
	b = append(append(b, ' '), word...)
	if code != "" {
		b = append(append(append(b, " ["...), code...), ']')
	}
	b = append(append(b, ' '), clean(text)...)
	s.conn.Write(append(b, '\r', '\n'))
}

// number sends "* n WORD".
func (s *session) number(n int, word string) {
	b := append(s.conn.AvailableBuffer(), "* "...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(append(b, ' '), word...)
	s.conn.Write(append(b, '\r', '\n'))
}

// flagNames sends the flags that exist in the mailbox and those that can be
// changed (RFC 3501 §7.2.6 and §7.1 PERMANENTFLAGS), as the user's rights allow (RFC
// 4314 §5.1.1).
func (s *session) flagNames(v *view) {
	b := append(s.conn.AvailableBuffer(), "* FLAGS ("...)
	all := mail.NewFlags(mail.AllSystemFlags, v.box.Keywords...)
	b = all.AppendText(b)
	b = append(b, ")\r\n* OK [PERMANENTFLAGS ("...)
	if !v.readOnly() {
		b = v.rights.Allowed(all).AppendText(b)
		if v.rights&mail.RightWrite != 0 {
			b = append(b, ` \*`...)
		}
	}
	s.conn.Write(append(b, ")] Flags that stay\r\n"...))
}

// appendFlags appends a message's flags in parentheses.
func appendFlags(b []byte, f mail.Flags, recent bool) []byte {
	b = append(b, '(')
	start := len(b)
	b = f.AppendText(b)
	if recent {
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(b, `\Recent`...)
	}
	return append(b, ')')
}

// fetchStart begins FETCH for the i-th message of the view, or UIDFETCH (RFC
// 9586).
func (s *session) fetchStart(b []byte, i int, m *store.Message) []byte {
	b = append(b, "* "...)
	if s.has(uidOnly) {
		return append(strconv.AppendUint(b, uint64(m.UID), 10), " UIDFETCH ("...)
	}
	return append(strconv.AppendInt(b, int64(i+1), 10), " FETCH ("...)
}

// appendModSeq appends the MODSEQ item (RFC 7162 §3.1.4.2).
func appendModSeq(b []byte, m mail.ModSeq) []byte {
	return append(strconv.AppendUint(append(b, "MODSEQ ("...), uint64(m), 10), ')')
}

// mailboxLine begins an untagged response about a mailbox.
func (s *session) mailboxLine(b []byte, response, name string) []byte {
	b = append(append(append(b, "* "...), response...), ' ')
	return s.appendMailbox(b, name)
}

func (s *session) appendMailbox(b []byte, name string) []byte {
	return imapwire.AppendMailbox(b, name, s.has(utf8Names))
}
