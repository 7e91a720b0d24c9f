package search

import (
	"net/url"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// compileAttachment looks for an attached file with a text in its name.
func (q *Query) compileAttachment(k *imapwire.SearchKey) test {
	needle := message.AppendFold(nil, []byte(k.Text))
	return test{cost: costSummary, match: func(c *cursor, _ int, m *store.Message) (bool, error) {
		s, err := c.summary(m)
		if s == nil {
			return false, err
		}
		for i := range s.Parts {
			if name, ok := attachment(&s.Parts[i]); ok && (len(needle) == 0 || c.contains(name, needle)) {
				return true, nil
			}
		}
		return false, nil
	}}
}

// attachment returns the file name of a part that is attached: one that says so
// (RFC 2183 §2.2), or that has a name and does not say that it is to be shown.
func attachment(p *message.Part) (name string, ok bool) {
	if p.IsMultipart() {
		return "", false
	}
	name = fileName(p)
	if p.Disposition == "" || strings.EqualFold(p.Disposition, "inline") {
		return name, p.Disposition == "" && name != ""
	}
	return name, true
}

// fileName returns the name in Content-Disposition, else that in Content-Type.
func fileName(p *message.Part) string {
	for _, params := range [][]message.Param{p.DispositionParams, p.Params} {
		for _, param := range params {
			switch strings.ToLower(param.Name) {
			case "filename", "name":
				return message.DecodeHeader(param.Value)
			case "filename*", "name*":
				return decodeExtended(param.Value)
			}
		}
	}
	return ""
}

// decodeExtended decodes a value like utf-8'en'na%C3%AFve (RFC 2231 §4).
func decodeExtended(value string) string {
	charset, rest, _ := strings.Cut(value, "'")
	_, text, ok := strings.Cut(rest, "'")
	octets, err := url.PathUnescape(text)
	if !ok || err != nil {
		return value
	}
	return message.ToUTF8(octets, charset)
}
