package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/angarium/angarium/test/harness"
)

const (
	sessionTime = 20 * time.Second // until a session is opened anew
	rampShare   = 4                // sessions are opened in this part of the time
	firstShown  = 50               // messages whose headers fill the first screen
	bodiesRead  = 5                // of them
	archived    = 200
)

// headers is what Thunderbird asks of a new message.
const headers = "(UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])"

// mailboxes are one for each of an account's sessions.
var mailboxes = []string{"INBOX", "Archive", "Sent"}

// work runs all sessions and deliveries to the end and returns how many
// sessions there were at a time.
func (b *bench) work() (sessions int) {
	var all [][2]int
	for i := range b.accounts {
		for n := range 2 + i%2 {
			all = append(all, [2]int{i, n})
		}
	}
	ramp := time.Until(b.end) / rampShare / time.Duration(len(all))
	var wg sync.WaitGroup
	wg.Go(b.deliver)
	for at, s := range all {
		wg.Go(func() {
			time.Sleep(ramp * time.Duration(at)) // mail programs are not started all at once
			for b.goesOn() {
				if b.session(account(s[0]), mailboxes[s[1]]) != nil {
					time.Sleep(time.Second) // as a mail program waits before it tries again
				}
			}
		})
	}
	wg.Wait()
	return len(all)
}

func (b *bench) goesOn() bool { return time.Now().Before(b.end) && !b.srv.Ended() }

// deliver hands over new mail, to one account after the other.
func (b *bench) deliver() {
	c, err := harness.DialLMTP(b.srv.LMTP)
	if err != nil {
		b.book.fail("LMTP connection", err)
		return
	}
	defer c.Close()
	tick := time.NewTicker(time.Duration(float64(time.Second) / b.deliveries))
	defer tick.Stop()
	for n := 0; b.goesOn(); n++ {
		if b.book.time("LMTP delivery", func() error { return c.DeliverOne(account(n%b.accounts), string(text(n))) }) != nil {
			return
		}
		<-tick.C
	}
}

// session is one connection, from login to logout.
type session struct {
	*bench
	imap    *harness.IMAP
	uidNext uint64
}

func (b *bench) session(user, mailbox string) error {
	s := &session{bench: b}
	err := b.book.time("LOGIN", func() (err error) {
		if s.imap, err = harness.DialIMAP(b.srv.IMAP); err != nil {
			return err
		}
		return s.imap.Login(user, password)
	})
	if s.imap != nil {
		defer s.imap.Close()
	}
	if err != nil {
		return err
	}
	if err := s.open(mailbox); err != nil {
		return err
	}
	for until := time.Now().Add(sessionTime); b.goesOn() && time.Now().Before(until); {
		if err := s.wait(); err != nil {
			return err
		}
	}
	_, err = s.do("LOGOUT", "LOGOUT")
	return err
}

func (s *session) do(what, command string) (told []string, err error) {
	err = s.book.time(what, func() (err error) {
		told, err = s.imap.Do(command)
		return err
	})
	return told, err
}

// open shows a mailbox as after the start of the mail program.
func (s *session) open(mailbox string) error {
	if _, err := s.do("LIST", `LIST "" "*"`); err != nil {
		return err
	}
	for _, m := range mailboxes {
		if m == mailbox {
			continue
		}
		if _, err := s.do("STATUS", "STATUS "+m+" (MESSAGES UIDNEXT UNSEEN RECENT)"); err != nil {
			return err
		}
	}
	told, err := s.do("SELECT", "SELECT "+mailbox)
	if err != nil {
		return err
	}
	s.uidNext, _ = harness.Number(told, "[UIDNEXT ")
	if _, err := s.do("UID FETCH flags", "UID FETCH 1:* (FLAGS)"); err != nil {
		return err
	}
	if mailbox == "INBOX" && s.uidNext > archived {
		if _, err := s.do("UID COPY of 200", fmt.Sprintf("UID COPY 1:%d Archive", archived)); err != nil {
			return err
		}
	}
	first := max(1, int(s.uidNext)-firstShown)
	if _, err := s.do("UID FETCH headers", fmt.Sprintf("UID FETCH %d:* %s", first, headers)); err != nil {
		return err
	}
	for range bodiesRead {
		if err := s.read(1 + rand.IntN(int(s.uidNext))); err != nil {
			return err
		}
	}
	return nil
}

// read fetches one message, or nothing where there is none.
func (s *session) read(uid int) error {
	_, err := s.do("UID FETCH body", fmt.Sprintf("UID FETCH %d (UID RFC822.SIZE BODY.PEEK[])", uid))
	return err
}

// wait is in IDLE for some time, and looks at what came.
func (s *session) wait() error {
	if _, err := s.do("IDLE", "IDLE"); err != nil {
		return err
	}
	told, err := s.imap.Listen(time.Second + rand.N(2*time.Second))
	if err != nil {
		return s.book.fail("IDLE", err)
	}
	if err := s.book.time("DONE", func() error {
		if err := s.imap.Done(); err != nil {
			return err
		}
		more, err := s.imap.Await()
		told = append(told, more...)
		return err
	}); err != nil {
		return err
	}
	if !strings.Contains(strings.Join(told, "\n"), " EXISTS") {
		return s.read(1 + rand.IntN(int(s.uidNext)))
	}
	news, err := s.do("UID FETCH new headers", fmt.Sprintf("UID FETCH %d:* %s", s.uidNext, headers))
	if err != nil {
		return err
	}
	newest := s.uidNext
	for _, line := range news {
		if uid, ok := harness.Number([]string{line}, "UID "); ok && uid >= newest {
			newest = uid
		}
	}
	s.uidNext = newest + 1
	return s.read(int(newest))
}
