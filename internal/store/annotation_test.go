package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// setAnnotations changes annotations in a mailbox.
func setAnnotations(a *Account, mb MailboxID, uids mail.UIDSet, changes ...AnnotationChange) error {
	_, err := a.Update(ctx, func(tx *Tx) error {
		_, err := tx.SetAnnotations(mb, uids, changes, Condition{})
		return err
	})
	return err
}

func mustAnnotate(t *testing.T, a *Account, mailbox string, uid mail.UID, changes ...AnnotationChange) {
	t.Helper()
	if err := setAnnotations(a, boxOf(t, a, mailbox).ID, mail.NewUIDSet(uid), changes...); err != nil {
		t.Fatal(err)
	}
}

// annotationsOf returns a message's annotations as "entry private|shared", with -
// for NIL; those that were removed in brackets.
func annotationsOf(t *testing.T, a *Account, mailbox string, uid mail.UID) string {
	t.Helper()
	all, err := a.Annotations(boxOf(t, a, mailbox).ID, uid)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	text := func(b []byte) string {
		if b == nil {
			return "-"
		}
		return string(b)
	}
	for _, x := range all {
		s := x.Entry
		if x.Exists() {
			s += " " + text(x.Private) + "|" + text(x.Shared)
		} else {
			s = "[" + s + "]"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func wantAnnotations(t *testing.T, a *Account, mailbox string, uid mail.UID, want string) {
	t.Helper()
	if got := annotationsOf(t, a, mailbox, uid); got != want {
		t.Fatalf("%s, UID %d has %q, want %q", mailbox, uid, got, want)
	}
}

func private(entry, value string) AnnotationChange {
	return AnnotationChange{entry, true, []byte(value)}
}

func shared(entry, value string) AnnotationChange {
	return AnnotationChange{entry, false, []byte(value)}
}

// TestAnnotations: RFC 5257 §3 and §4.6. They are set and removed, go along with
// COPY and MOVE, raise the message's mod-sequence, and stay over a restart.
func TestAnnotations(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, e)
			a := account(t, s, "a@b")
			for range 3 {
				deliver(t, s, a, "INBOX", "x", mail.NewFlags(mail.Seen))
			}
			inbox, sent := boxOf(t, a, "INBOX").ID, boxOf(t, a, "Sent").ID
			modseq := func(uid int) mail.ModSeq {
				_, l, err := a.Messages(ctx, inbox)
				if err != nil {
					t.Fatal(err)
				}
				return l.At(uid - 1).ModSeq
			}
			before, other := modseq(1), modseq(2)
			mustAnnotate(t, a, "INBOX", 1, private("/comment", "mine"), shared("/comment", ""), private("/altsubject", "\x00\xff"))
			wantAnnotations(t, a, "INBOX", 1, "/altsubject \x00\xff|-, /comment mine|")
			if now := modseq(1); now <= before || now != must(a.Snapshot()).ModSeq() || modseq(2) != other || boxOf(t, a, "INBOX").ModSeq != now {
				t.Fatalf("the mod-sequence was %d and is %d", before, now)
			}
			before = must(a.Snapshot()).ModSeq()
			mustAnnotate(t, a, "INBOX", 1, private("/comment", "mine"), AnnotationChange{Entry: "/none"})
			if now := must(a.Snapshot()).ModSeq(); now != before {
				t.Fatalf("nothing was changed, and the mod-sequence went from %d to %d", before, now)
			}
			mustAnnotate(t, a, "INBOX", 1, AnnotationChange{Entry: "/altsubject", Private: true})
			wantAnnotations(t, a, "INBOX", 1, "[/altsubject], /comment mine|")
			update(t, a, func(tx *Tx) error { // both see what the Update did before
				if _, err := tx.SetAnnotations(inbox, mail.NewUIDSet(2, 3), []AnnotationChange{shared("/comment", "two")}, Condition{}); err != nil {
					return err
				}
				if _, err := tx.Copy(inbox, mail.NewUIDSet(1, 2), sent, ByOwner); err != nil {
					return err
				}
				_, err := tx.Move(inbox, mail.NewUIDSet(3), sent, ByOwner)
				return err
			})
			s = openStore(t, e)
			a = account(t, s, "a@b")
			wantAnnotations(t, a, "INBOX", 2, "/comment -|two")
			wantAnnotations(t, a, "INBOX", 3, "")
			wantAnnotations(t, a, "Sent", 1, "[/altsubject], /comment mine|")
			wantAnnotations(t, a, "Sent", 2, "/comment -|two")
			wantAnnotations(t, a, "Sent", 3, "/comment -|two")
			some, err := a.Annotated(ctx, sent, mail.NewUIDSet(1, 3, 4))
			if err != nil || some.String() != "1,3" {
				t.Fatalf("%v, %v", some, err)
			}
			update(t, a, func(tx *Tx) error { return tx.RenameMailbox(inbox, "Old") }) // moves the messages
			wantAnnotations(t, a, "Old", 1, "[/altsubject], /comment mine|")
			wantAnnotations(t, a, "INBOX", 1, "")
			checkStore(t, s)
		})
	}
}

// TestAnnotationsUnchangedSince: RFC 7162 §3.1.3. With 0 only what does not exist
// is stored.
func TestAnnotationsUnchangedSince(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "x", mail.Flags{})
	deliver(t, s, a, "INBOX", "x", mail.Flags{})
	id := boxOf(t, a, "INBOX").ID
	since := must(a.Snapshot()).ModSeq()
	mustAnnotate(t, a, "INBOX", 1, private("/comment", "a"))
	for _, tc := range []struct {
		change AnnotationChange
		since  mail.ModSeq
		want   string
	}{
		{private("/comment", "b"), since, "1"}, {shared("/altsubject", "c"), 0, ""}, {private("/comment", "d"), 0, "1:2"}, {private("/comment", "e"), since + 9, ""},
	} {
		update(t, a, func(tx *Tx) error {
			done, err := tx.SetAnnotations(id, mail.NewUIDSet(1, 2), []AnnotationChange{tc.change}, Condition{true, tc.since})
			if done.Modified.String() != tc.want || done.Changed.Len()+done.Modified.Len() != 2 {
				t.Errorf("%s since %d: %+v, want %s", tc.change.Value, tc.since, done, tc.want)
			}
			return err
		})
	}
	wantAnnotations(t, a, "INBOX", 1, "/altsubject -|c, /comment e|-")
	wantAnnotations(t, a, "INBOX", 2, "/altsubject -|c, /comment e|-")
}

// TestAnnotationLimits: RFC 5257 §4.1, at each limit and beyond. A refused change
// changes nothing.
func TestAnnotationLimits(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "x", mail.Flags{})
	id := boxOf(t, a, "INBOX").ID
	one := mail.NewUIDSet(1)
	large := strings.Repeat("x", AnnotationMax)
	for i := range AnnotationEntriesMax {
		mustAnnotate(t, a, "INBOX", 1, private(fmt.Sprintf("/vendor/x/%02d", i), large))
	}
	if err := setAnnotations(a, id, one, shared("/vendor/x/00", large+"x")); !errs.Is(err, errs.TooBig) {
		t.Errorf("a value that is too large: %v", err)
	}
	if err := setAnnotations(a, id, one, shared("/comment", "x")); !errs.Is(err, errs.Limit) {
		t.Errorf("an entry too many: %v", err)
	}
	before := annotationsOf(t, a, "INBOX", 1)
	if err := setAnnotations(a, id, one, private("/vendor/x/00", "y"), shared("/comment", "x")); !errs.Is(err, errs.Limit) || annotationsOf(t, a, "INBOX", 1) != before {
		t.Errorf("half of a change: %v", err)
	}
	// What was removed makes room, the oldest first.
	mustAnnotate(t, a, "INBOX", 1, AnnotationChange{"/vendor/x/05", true, nil})
	mustAnnotate(t, a, "INBOX", 1, AnnotationChange{"/vendor/x/03", true, nil})
	mustAnnotate(t, a, "INBOX", 1, shared("/comment", "x"))
	got := annotationsOf(t, a, "INBOX", 1)
	if strings.Contains(got, "/05") || !strings.Contains(got, "[/vendor/x/03]") || !strings.HasPrefix(got, "/comment -|x") {
		t.Errorf("%.100s", strings.ReplaceAll(got, large, "…"))
	}
	st, err := s.Stage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Discard()
	st.Write([]byte("x"))
	staged := must(st.Seal())
	_, err = a.Update(ctx, func(tx *Tx) error {
		_, err := tx.Append(id, staged, AppendOptions{Annotations: []AnnotationChange{private("/comment", large+"x")}})
		return err
	})
	if !errs.Is(err, errs.TooBig) || boxOf(t, a, "INBOX").Messages != 1 {
		t.Errorf("appended: %v", err)
	}
	checkStore(t, s)
}

// TestAnnotationsOfMany: one Update does not write more than fits into memory,
// and an EXPUNGE is never refused for that.
func TestAnnotationsOfMany(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	st, err := s.Stage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Discard()
	st.Write([]byte("x"))
	staged := must(st.Seal())
	id := boxOf(t, a, "INBOX").ID
	n := annotationsUpdateMax/AnnotationMax + 1
	update(t, a, func(tx *Tx) error {
		for range n {
			if _, err := tx.Append(id, staged, AppendOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	all := mail.UIDSet{{First: 1, Last: mail.UID(n)}}
	value := bytes.Repeat([]byte("x"), AnnotationMax)
	if err := setAnnotations(a, id, all, AnnotationChange{"/comment", true, value}); !errs.Is(err, errs.Limit) {
		t.Fatalf("set: %v", err)
	}
	for _, half := range []mail.UIDSet{{{First: 1, Last: mail.UID(n / 2)}}, {{First: mail.UID(n/2 + 1), Last: mail.UID(n)}}} {
		if err := setAnnotations(a, id, half, AnnotationChange{"/comment", true, value}); err != nil {
			t.Fatal(err)
		}
	}
	to := boxOf(t, a, "Sent").ID
	_, err = a.Update(ctx, func(tx *Tx) error { _, err := tx.Copy(id, all, to, ByOwner); return err })
	if !errs.Is(err, errs.Limit) || boxOf(t, a, "Sent").Messages != 0 {
		t.Fatalf("copied: %v", err)
	}
	update(t, a, func(tx *Tx) error { _, err := tx.Expunge(id, all); return err })
	if done := restore(t, a, Selection{}); done.Messages != n {
		t.Fatalf("%+v", done)
	}
	some, err := a.Annotated(ctx, id, mail.UIDSet{{First: 1, Last: mail.UIDMax}})
	if err != nil || some.Len() == 0 || some.Len() > annotationsKeptMax/AnnotationMax {
		t.Fatalf("%d have their annotations back, %v", some.Len(), err)
	}
	checkStore(t, s)
}

// TestAnnotationsUndelete: what is expunged comes back with its annotations, also
// when only a part does; what has the UID of an old message has none of them.
func TestAnnotationsUndelete(t *testing.T) {
	s := openTimed(t)
	a := account(t, s.Store, "a@b")
	update(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox("P/q", CreateOptions{}); return err })
	for i := range 3 {
		deliver(t, s.Store, a, "P", fmt.Sprint(i), mail.Flags{})
		mustAnnotate(t, a, "P", mail.UID(i+1), private("/comment", fmt.Sprint("on ", i)))
	}
	s.pass(time.Hour)
	update(t, a, func(tx *Tx) error { return tx.DeleteMailbox(boxOf(t, a, "P").ID) })
	update(t, a, func(tx *Tx) error { _, err := tx.CreateMailbox("P", CreateOptions{}); return err })
	deliver(t, s.Store, a, "P", "new", mail.Flags{})
	wantAnnotations(t, a, "P", 1, "")
	restore(t, a, Selection{Mailbox: "P", UIDs: mail.NewUIDSet(2)})
	wantAnnotations(t, a, "P", 2, "/comment on 1|-")
	restore(t, a, Selection{Mailbox: "P"})
	wantAnnotations(t, a, "P", 3, "/comment on 0|-")
	wantAnnotations(t, a, "P", 4, "/comment on 2|-")
	checkStore(t, s.Store)
}

// TestAnnotationsCopyFrom: they go to another store.
func TestAnnotationsCopyFrom(t *testing.T) {
	old, s := openStore(t, mem.New()), openStore(t, mem.New())
	a, b := account(t, old, "a@b"), account(t, s, "b@b")
	deliver(t, old, a, "INBOX", "x", mail.Flags{})
	mustAnnotate(t, a, "INBOX", 1, private("/comment", "a"), shared("/comment", "b"), private("/altsubject", "c"))
	mustAnnotate(t, a, "INBOX", 1, AnnotationChange{"/altsubject", true, nil})
	if _, err := s.CopyFrom(ctx, old, a.ID(), b.ID(), Transfer{}); err != nil {
		t.Fatal(err)
	}
	wantAnnotations(t, b, "INBOX", 1, "/comment a|b")
	checkStore(t, s)
}

// TestAnnotationFindings: Check knows the rows.
func TestAnnotationFindings(t *testing.T) {
	for name, break_ := range map[string]func(b *engine.Batch, mb MailboxID){
		"unread":     func(b *engine.Batch, mb MailboxID) { b.Put(messageKey(rowAnnotation, mb, 1), []byte{99}) },
		"no message": func(b *engine.Batch, mb MailboxID) { b.Put(messageKey(rowAnnotation, mb, 2), encodeAnnotations(nil)) },
		"no mailbox": func(b *engine.Batch, mb MailboxID) { b.Put(messageKey(rowAnnotation, 999, 1), encodeAnnotations(nil)) },
		"no UID":     func(b *engine.Batch, mb MailboxID) { b.Put(key8(rowAnnotation, uint64(mb)), encodeAnnotations(nil)) },
		"future": func(b *engine.Batch, mb MailboxID) {
			b.Put(messageKey(rowAnnotation, mb, 1), encodeAnnotations([]Annotation{{Entry: "/comment", ModSeq: 1 << 40}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, mem.New())
			a := account(t, s, "a@b")
			deliver(t, s, a, "INBOX", "x", mail.Flags{})
			var b engine.Batch
			break_(&b, boxOf(t, a, "INBOX").ID)
			if _, err := a.space.Commit(ctx, must(a.Snapshot()).version, &b); err != nil {
				t.Fatal(err)
			}
			oneFinding(t, s)
		})
	}
}
