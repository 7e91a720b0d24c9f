package store

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/mail"
)

// scan calls all of Scan for one message.
func scan(ctx context.Context, s *Store, m *Message) {
	c := s.Scan()
	defer c.Close()
	_, _, _ = c.Fields(ctx, m)
	_, _ = c.Top(ctx, m)
	_, _ = c.Header(ctx, m)
	_, _ = c.Summary(ctx, m)
}

// TestScan compares what a scan reads with what FETCH gets, and sees that it
// keeps nothing.
func TestScan(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, e)
			a := account(t, s, "a@b")
			for i := range 50 {
				deliver(t, s, a, "INBOX", fmt.Sprintf("From: a@b\r\nSubject: %d\r\nX-Other: %d\r\n\r\ntext", i, i), mail.Flags{})
			}
			v, _ := a.Snapshot()
			box, _ := v.Mailbox("INBOX")
			l, err := v.Messages(ctx, box.ID)
			if err != nil {
				t.Fatal(err)
			}
			s.Spare()
			c := s.Scan()
			defer c.Close()
			for i, m := range l.Range(0, l.Len()) {
				fields, whole, err := c.Fields(ctx, m)
				if want := fmt.Sprintf("From: a@b\r\nSubject: %d\r\n", i); string(fields) != want || !whole || err != nil {
					t.Fatalf("fields %q, %v, %v", fields, whole, err)
				}
				top, err := c.Top(ctx, m)
				if err != nil || top.Envelope.Subject != fmt.Sprint(i) {
					t.Fatalf("top %+v, %v", top, err)
				}
				header, err := c.Header(ctx, m)
				if want := fmt.Sprintf("From: a@b\r\nSubject: %d\r\nX-Other: %d\r\n\r\n", i, i); string(header) != want || err != nil {
					t.Fatalf("header %q, %v", header, err)
				}
				sum, err := c.Summary(ctx, m)
				if _, before := s.Known(m); before {
					t.Fatal("the scan filled the cache")
				}
				other := s.Scan()
				learnt, err1 := other.Learn(ctx, m)
				other.Close()
				if k, _ := s.Known(m); err1 != nil || learnt.Parts[0].Envelope.Subject != fmt.Sprint(i) || k.Summary != learnt {
					t.Fatalf("learnt %+v, %v", learnt, err1)
				}
				want, err2 := s.Summary(ctx, m)
				if err != nil || err2 != nil || !bytes.Equal(sum.Append(nil), want.Append(nil)) {
					t.Fatalf("summary %+v, %v, not %+v, %v", sum, err, want, err2)
				}
			}
		})
	}
}

// BenchmarkSummary reads the summaries of messages of 10 KB that are not in the
// cache, one after the other.
func BenchmarkSummary(b *testing.B) {
	s, a, box := bigList(b, 0)
	text := "Subject: x\r\nFrom: Ada <ada@example.org>\r\nTo: Bob <bob@example.org>\r\nDate: Sat, 28 Nov 2026 07:38:31 +0000\r\nMessage-ID: <1@example.org>\r\n\r\n" + strings.Repeat("text ", 2000)
	update(b, a, func(tx *Tx) error {
		for range 2000 {
			st, err := s.Stage(ctx)
			if err != nil {
				return err
			}
			defer st.Discard()
			st.Write([]byte(text))
			if _, err := tx.Append(box.ID, must(st.Seal()), AppendOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	_, l, err := a.Messages(ctx, box.ID)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Spare()
		c := s.Scan()
		for _, m := range l.Range(0, l.Len()) {
			if _, err := c.Summary(ctx, m); err != nil {
				b.Fatal(err)
			}
		}
		c.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*l.Len()), "ns/message")
}
