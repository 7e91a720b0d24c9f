package store

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
)

// aheadStore is a store that makes forms ahead, with one account.
type aheadStore struct {
	*Store
	a    *Account
	made int // forms
}

func openAhead(t *testing.T, e engine.Engine, cache int64) *aheadStore {
	t.Helper()
	s := &aheadStore{}
	st, err := Open(ctx, e, Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1, SummaryCacheOctets: cache, Forms: s.forms})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	s.Store, s.a = st, account(t, st, "a@b")
	return s
}

// forms are a subject, once a message. One cannot be made.
func (s *aheadStore) forms(buf []byte, sum *message.Summary) (forms [FormsMax][]byte, _ []byte) {
	s.made++
	subject := sum.Parts[0].Envelope.Subject
	if subject == "bad" {
		panic(subject)
	}
	buf = append(buf[:0], subject...)
	forms[1] = buf
	return forms, buf
}

// come delivers messages with these subjects.
func (s *aheadStore) come(t *testing.T, subjects ...string) {
	t.Helper()
	for _, subject := range subjects {
		deliver(t, s.Store, s.a, "INBOX", "Subject: "+subject+"\r\n\r\n", mail.Flags{})
	}
}

func (s *aheadStore) inbox(t *testing.T) *MessageList {
	t.Helper()
	_, l, err := s.a.Messages(ctx, boxOf(t, s.a, "INBOX").ID)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// known returns the form of each message, with a mark where something was asked for.
func (s *aheadStore) known(t *testing.T) (forms []string) {
	t.Helper()
	l := s.inbox(t)
	for _, m := range l.Range(0, l.Len()) {
		form := ""
		k, asked := s.Known(m)
		if asked {
			form = "asked "
		}
		forms = append(forms, form+string(k.Form(1)))
	}
	return forms
}

// TestAhead: forms of what came are made when little comes, but not those that cannot be.
func TestAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openAhead(t, mem.New(), 0)
		expect := func(want ...string) {
			t.Helper()
			synctest.Wait()
			if got := s.known(t); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%.200q are kept, want %.200q", got, want)
			}
		}
		s.come(t, "one", "bad", "three")
		time.Sleep(aheadAfter - time.Second)
		expect("", "", "")
		time.Sleep(time.Second)
		expect("one", "", "three")

		s.come(t, "four")
		time.Sleep(aheadAfter)
		expect("one", "", "three", "four")
		if s.made != 4 {
			t.Errorf("forms were made %d times", s.made)
		}

		s.come(t, "five")
		if _, err := s.Summary(ctx, s.inbox(t).At(4)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(aheadAfter)
		expect("one", "", "three", "four", "asked ")
		if s.made != 4 {
			t.Errorf("forms of what is known were made")
		}

		s.come(t, "six")
		s.Spare() // of memory
		time.Sleep(2 * aheadAfter)
		expect("", "", "", "", "", "")
	})
}

// TestAheadWhileBusy: no forms are made while much mail comes.
func TestAheadWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openAhead(t, mem.New(), 0)
		for range 3 {
			s.come(t, make([]string, aheadBusy)...)
			time.Sleep(aheadAfter)
			synctest.Wait()
			if s.made != 0 {
				t.Fatalf("%d were made", s.made)
			}
		}
		s.come(t, make([]string, aheadBusy-1)...)
		time.Sleep(aheadAfter)
		synctest.Wait()
		if s.made != 4*aheadBusy-1 {
			t.Errorf("%d were made then", s.made)
		}
	})
}

// TestAheadRoom: what nobody asked for pushes out nothing, and what does not fit is
// not read.
func TestAheadRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const fit = 20
		s := openAhead(t, mem.New(), 8*fit*knownOctets)
		s.come(t, make([]string, 2*aheadPiece)...)
		time.Sleep(aheadAfter)
		synctest.Wait()
		if s.made < fit/2 || s.made > fit {
			t.Errorf("%d were made", s.made)
		}
		if q := &s.Store.ahead; len(q.ids) > 0 {
			t.Errorf("%d still wait", len(q.ids))
		}
	})
}

// TestAheadWaits: of those that wait the oldest go when there are too many.
func TestAheadWaits(t *testing.T) {
	q := ahead{begun: make(chan struct{}, 1)}
	next := engine.BlobID(0)
	for range 3 * aheadMax / 1000 {
		ids := make([]engine.BlobID, 1000)
		for i := range ids {
			next++
			ids[i] = next
		}
		if q.add(ids); len(q.ids) > aheadMax {
			t.Fatalf("%d wait", len(q.ids))
		}
		if n := min(int(next), aheadMax/2); len(q.ids) < n {
			t.Fatalf("%d wait, want %d at least", len(q.ids), n)
		}
	}
	want := q.ids[0]
	for ids := q.take(); len(ids) > 0; ids = q.take() {
		for _, id := range ids {
			if id != want {
				t.Fatalf("%d comes instead of %d", id, want)
			}
			want++
		}
	}
	if want != next+1 {
		t.Errorf("%d is the last, want %d", want-1, next)
	}
}
