package message

import "strings"

// MessageIDsMax is how many message ids of one field are looked at.
const MessageIDsMax = 1000

// MessageIDs returns the message ids in a field's value, without angle
// brackets, quoted parts without their quotes (RFC 5256 §3 REFERENCES). What
// is no message id is passed over.
func MessageIDs(value string) (ids []string) {
	for len(ids) < MessageIDsMax {
		start := strings.IndexByte(value, '<')
		if start < 0 {
			return ids
		}
		id, end := messageID(value[start+1:])
		if id != "" {
			ids = append(ids, id)
		}
		value = value[start+1+end:]
	}
	return ids
}

// messageID reads an id behind "<" and returns how much of s was looked at. A
// second "<" begins another.
func messageID(s string) (id string, end int) {
	if end := strings.IndexAny(s, "<> \t\"\\"); end >= 0 && s[end] == '>' && strings.Contains(s[:end], "@") {
		return s[:end], end + 1 // as nearly all are
	}
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case !quoted && c == '<':
			return "", i
		case !quoted && c == '>':
			if id = b.String(); !strings.Contains(id, "@") {
				id = ""
			}
			return id, i + 1
		case !quoted && (c == ' ' || c == '\t'): // folded in the middle
		default:
			b.WriteByte(c)
		}
	}
	return "", len(s)
}

// ThreadRoot returns the message id that the message's thread begins with: the
// first of References, else of In-Reply-To, else its own; "" for none.
func (s *Summary) ThreadRoot() string {
	e := s.Parts[0].Envelope
	for _, value := range append(FieldValues(s.Fields, "References"), e.InReplyTo, e.MessageID) {
		if ids := MessageIDs(value); len(ids) > 0 {
			return ids[0]
		}
	}
	return ""
}
