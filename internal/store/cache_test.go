package store

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
)

// TestForms: forms are kept, also of a message whose summary is not, and go with it.
func TestForms(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "Subject: x\r\n\r\n", mail.Flags{})
	_, l, err := a.Messages(ctx, boxOf(t, a, "INBOX").ID)
	if err != nil {
		t.Fatal(err)
	}
	m := l.At(0)
	s.Spare()
	if k, before := s.Known(m); before || k.Summary != nil || k.Form(0) != nil {
		t.Errorf("at first: %v, %+v", before, k)
	}
	keep := func(form int, b string) {
		var k Known
		var forms [FormsMax][]byte
		forms[form] = []byte(b)
		k.AddForms(forms)
		s.Keep(m, k)
	}
	keep(0, "zero")
	keep(0, "later")
	keep(1, strings.Repeat("x", formLenMax+1))
	if k, before := s.Known(m); !before || k.Summary != nil || string(k.Form(0)) != "zero" || k.Form(1) != nil {
		t.Errorf("then: %v, %+v", before, k)
	}
	sum := must(s.Summary(ctx, m))
	if k, before := s.Known(m); !before || k.Summary != sum || sum.Parts[0].Envelope.Subject != "x" || string(k.Form(0)) != "zero" {
		t.Errorf("with its summary: %v, %+v", before, k)
	}
	keep(2, "two")
	if k, _ := s.Known(m); k.Summary != sum || string(k.Form(2)) != "two" {
		t.Errorf("with one more: %+v", k)
	}
	s.Spare()
	if k, before := s.Known(m); before || k.Summary != nil || k.Form(0) != nil {
		t.Errorf("at last: %v, %+v", before, k)
	}
}

// TestCacheSize: what is kept stays within the limit, and each form is that of
// its message.
func TestCacheSize(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := &summaryCache{max: 100_000}
	for range 100_000 {
		id, form := engine.BlobID(rng.IntN(300)), rng.IntN(FormsMax)
		k, _ := c.get(id)
		if k.Summary != nil && k.Summary.Size != int64(id) || k.Form(form) != nil && !bytes.Equal(k.Form(form), []byte{byte(id), byte(form)}) {
			t.Fatalf("%d has %+v", id, k)
		}
		var news Known
		switch rng.IntN(3) {
		case 0:
			news = Known{Summary: &message.Summary{Size: int64(id)}, octets: int64(rng.IntN(500))}
		case 1:
			var forms [FormsMax][]byte
			forms[form] = []byte{byte(id), byte(form)}
			news.AddForms(forms)
		}
		c.put(id, news)
		if got, ok := c.get(id); !ok || k.Summary != nil && got.Summary != k.Summary || k.Form(form) != nil && got.Form(form) == nil || news.Summary != nil && got.Summary == nil {
			t.Fatalf("%d had %+v and has %+v", id, k, got)
		}
		var young, old int64
		for _, k := range c.young {
			young += k.size()
		}
		for _, k := range c.old {
			old += k.size()
		}
		if young != c.octets || young > c.max/2 || old > c.max/2 {
			t.Fatalf("%d octets and %d, %d are counted", young, old, c.octets)
		}
	}
}
