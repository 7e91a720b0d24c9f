package search

import (
	"testing"

	"github.com/angarium/angarium/internal/message"
)

func TestAttachment(t *testing.T) {
	name := func(n, v string) []message.Param {
		return []message.Param{{Name: "charset", Value: "x"}, {Name: n, Value: v}}
	}
	for _, tc := range []struct {
		part message.Part
		name string
		ok   bool
	}{
		{message.Part{Type: "text", Subtype: "plain"}, "", false},
		{message.Part{Type: "text", Disposition: "attachment"}, "", true},
		{message.Part{Type: "text", Disposition: "Attachment", DispositionParams: name("FileName", "a.pdf")}, "a.pdf", true},
		{message.Part{Type: "image", Disposition: "inline", DispositionParams: name("filename", "a.png")}, "a.png", false},
		{message.Part{Type: "application", Params: name("name", "=?utf-8?q?=C3=A4?=")}, "ä", true},
		{message.Part{Type: "application", Disposition: "x-own", Params: name("name", "a")}, "a", true},                 // RFC 2183 §2.8
		{message.Part{Type: "application", DispositionParams: name("filename*", "utf-8'en'na%C3%AFve")}, "naïve", true}, // RFC 2231 §4
		{message.Part{Type: "application", DispositionParams: name("filename*", "iso-8859-1''%E4")}, "ä", true},
		{message.Part{Type: "application", DispositionParams: name("filename*", "%zz")}, "%zz", true},
	} {
		if got, ok := attachment(&tc.part); got != tc.name || ok != tc.ok {
			t.Errorf("%+v: %q %v", tc.part, got, ok)
		}
	}
}
