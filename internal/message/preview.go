package message

import (
	"bufio"
	"io"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

const (
	// PreviewMax is the length of a preview in characters (RFC 8970 §3.3).
	PreviewMax = 200
	// previewOctets is how much text a preview is made from.
	previewOctets = 64 << 10
)

// PreviewPart returns the part that a preview is made from: the first text that
// is no attachment, plain before HTML; -1 for none.
func (s *Summary) PreviewPart() int32 {
	best := int32(-1)
	for i := range s.Parts {
		p := &s.Parts[i]
		if i > 0 && p.Envelope != nil {
			break // what follows is of a message inside
		}
		if p.Children > 0 || !equalFold(p.Type, "text") || equalFold(p.Disposition, "attachment") {
			continue
		}
		if equalFold(p.Subtype, "plain") {
			return int32(i)
		}
		if equalFold(p.Subtype, "html") && best < 0 {
			best = int32(i)
		}
	}
	return best
}

// Preview returns the beginning of a text in UTF-8, on one line, without
// quotations and markup.
func Preview(r io.Reader, isHTML bool) string {
	r = io.LimitReader(r, previewOctets)
	var p previewer
	if isHTML {
		p.html(r)
	} else {
		p.plain(r)
	}
	return p.b.String()
}

type previewer struct {
	b     strings.Builder
	n     int
	space bool // before the next character
}

func (p *previewer) full() bool { return p.n >= PreviewMax }

// add appends text with its white space made one space.
func (p *previewer) add(text string) {
	for _, r := range strings.ToValidUTF8(text, "") {
		switch {
		case p.full():
			return
		case unicode.IsSpace(r):
			p.space = p.n > 0
			continue
		case !unicode.IsPrint(r):
			continue
		case p.space && p.n+1 < PreviewMax:
			p.b.WriteByte(' ')
			p.n++
		}
		p.space = false
		p.b.WriteRune(r)
		p.n++
	}
}

// plain leaves out quoted lines and what follows a signature's mark.
func (p *previewer) plain(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4<<10), previewOctets)
	for lines.Scan() && !p.full() {
		line := lines.Text()
		if line == "-- " {
			return
		}
		if !strings.HasPrefix(line, ">") {
			p.add(line)
			p.space = p.n > 0
		}
	}
}

// hiddenElements are those whose text nobody reads.
var hiddenElements = map[string]bool{"style": true, "script": true, "head": true, "title": true, "blockquote": true}

func (p *previewer) html(r io.Reader) {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(previewOctets)
	hidden := 0
	for !p.full() {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken:
			if hidden == 0 {
				p.add(string(z.Text()))
			}
		case html.StartTagToken:
			if name, _ := z.TagName(); hiddenElements[string(name)] {
				hidden++
			}
			p.space = p.n > 0
		case html.EndTagToken:
			if name, _ := z.TagName(); hiddenElements[string(name)] {
				hidden = max(0, hidden-1)
			}
			p.space = p.n > 0
		}
	}
}
