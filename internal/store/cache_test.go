package store

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
)

// TestForms: forms are kept with what is known of a message, and go with it.
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
	s.KeepForm(m, 0, []byte("of nothing"))
	if k := must(s.Known(ctx, m)); k.Again || k.Forms[0] != nil {
		t.Errorf("at first: %v, %q", k.Again, k.Forms)
	}
	s.KeepForm(m, 0, []byte("zero"))
	s.KeepForm(m, 0, []byte("later"))
	s.KeepForm(m, 1, make([]byte, formLenMax+1))
	if k := must(s.Known(ctx, m)); !k.Again || string(k.Forms[0]) != "zero" || k.Forms[1] != nil || k.Parts[0].Envelope.Subject != "x" {
		t.Errorf("then: %v, %q", k.Again, k.Forms)
	}
	s.Spare()
	if k := must(s.Known(ctx, m)); k.Again || k.Forms[0] != nil {
		t.Errorf("at last: %v, %q", k.Again, k.Forms)
	}
}

// TestCacheSize: what is kept stays within the limit, and each form is that of
// its message.
func TestCacheSize(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := &summaryCache{max: 10_000}
	for range 100_000 {
		id, form := engine.BlobID(rng.IntN(100)), rng.IntN(FormsMax)
		switch k := c.get(id); {
		case k.Summary == nil:
			c.put(id, Known{Summary: &message.Summary{Size: int64(id)}, octets: int64(rng.IntN(500))})
		case k.Size != int64(id) || k.Forms[form] != nil && !bytes.Equal(k.Forms[form], []byte{byte(id), byte(form)}):
			t.Fatalf("%d has %d, %v", id, k.Size, k.Forms)
		default:
			c.putForm(id, form, []byte{byte(id), byte(form)})
		}
		var young, old int64
		for _, k := range c.young {
			young += k.octets
		}
		for _, k := range c.old {
			old += k.octets
		}
		if young != c.octets || young > c.max/2 || old > c.max/2 {
			t.Fatalf("%d octets and %d, %d are counted", young, old, c.octets)
		}
	}
}
