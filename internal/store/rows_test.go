package store

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

func FuzzRows(f *testing.F) {
	box := &Mailbox{Name: "x", Keywords: []string{"a", "b"}}
	m := Message{UID: 3, Flags: mail.NewFlags(mail.Seen, "b"), Size: 5}
	f.Add(appendMessage(nil, &m, box))
	f.Add(box.encode())
	f.Add((&tombstone{uids: mail.NewUIDSet(3), messages: []Message{m}}).encode(box))
	f.Add((&tombstone{uids: mail.NewUIDSet(3), messages: []Message{m}, annotations: map[mail.UID][]byte{3: {1, 0}}}).encode(box))
	f.Add(encodeAnnotations([]Annotation{{Entry: "/comment", Private: []byte("x"), ModSeq: 7}}))
	f.Add(appendFlagsRow(nil, []*chunk{{msgs: []Message{m}}}, box))
	f.Add(AccessKey{secret: accessSecret{1}}.encode())
	f.Add((&Push{Version: 2, Mailboxes: []MailboxID{1, 3}, Renewed: time.Unix(1, 0)}).encode())
	f.Add(pushKey("phone", "1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		decodeMessage(1, &row{b: b}, box)
		decodeMailbox(1, b)
		decodeTombstone(b)
		decodeAccount(b)
		decodeInfo("a@b", b)
		decodeNote(b)
		if all, ok := decodeAnnotations(b); ok && len(all) > AnnotationEntriesMax {
			t.Errorf("%d annotations", len(all))
		}
		if k, ok := decodeAccessKey(b); ok && !k.plausible() {
			t.Error("a key that anybody could guess")
		}
		if p, ok := decodePush(pushKey("phone", "1"), b); ok && (len(p.Mailboxes) == 0 || len(p.Mailboxes) > PushMailboxesMax || p.Device != "phone") {
			t.Errorf("%+v", p)
		}
		decodePush(b, (&Push{Mailboxes: []MailboxID{1}}).encode())
		applyFlagsRow([]*chunk{{msgs: []Message{m}}}, b, box)
	})
}

// TestFlagsRows: what STORE writes reads back as it was, whether it changed a few
// messages, which are written as their own rows, or many; a few write no more than
// those.
func TestFlagsRows(t *testing.T) {
	e := mem.New()
	s := openStore(t, e)
	a := account(t, s, "a@b")
	for range 20 {
		deliver(t, s, a, "INBOX", "text", mail.Flags{})
	}
	id := boxOf(t, a, "INBOX").ID
	steps := []struct {
		op   FlagOp
		set  mail.UIDSet
		many bool
	}{
		{FlagsAdd, mail.NewUIDSet(3), false},
		{FlagsAdd, mail.UIDSet{{First: 1, Last: fewChanged}}, false},
		{FlagsAdd, mail.UIDSet{{First: 1, Last: 2*fewChanged + 1}}, true},
		{FlagsRemove, mail.NewUIDSet(2), false}, // of a message whose flags are in both rows
		{FlagsRemove, mail.UIDSet{{First: 1, Last: 12}}, true},
		{FlagsAdd, mail.NewUIDSet(7), false},
	}
	row := func() []byte {
		b, err := must(must(e.Space(ctx, engine.SpaceID(a.ID()))).Snapshot()).Get(messageKey(rowFlags, id, 0))
		if err != nil && !errs.Is(err, errs.NotFound) {
			t.Fatal(err)
		}
		return b
	}
	for i, step := range steps {
		before := row()
		update(t, a, func(tx *Tx) error {
			_, err := tx.SetFlags(id, step.set, FlagChange{Op: step.op, Flags: mail.NewFlags(mail.Seen, "word")})
			return err
		})
		if wrote := !bytes.Equal(row(), before); wrote != step.many {
			t.Errorf("step %d: the flags row was written: %v", i, wrote)
		}
		sameWhenRead(t, fmt.Sprint("step ", i), e, a, id)
	}
}

// TestFlagsOfOneUpdate: what several changes in one Update, all of one mod-sequence, make
// of messages reads back, in whichever order rows of messages and of flags are written.
func TestFlagsOfOneUpdate(t *testing.T) {
	add := func(first, last mail.UID, flag mail.SystemFlags) func(*Tx, MailboxID) error {
		return func(tx *Tx, id MailboxID) error {
			_, err := tx.SetFlags(id, mail.UIDSet{{First: first, Last: last}}, FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(flag)})
			return err
		}
	}
	expunge := func(tx *Tx, id MailboxID) error {
		_, err := tx.Expunge(id, mail.UIDSet{{First: 6, Last: 20}})
		return err
	}
	duplicate := func(tx *Tx, id MailboxID) error {
		_, err := tx.Copy(id, mail.UIDSet{{First: 1, Last: 20}}, id, ByOwner)
		return err
	}
	for name, changes := range map[string][]func(*Tx, MailboxID) error{
		"few, then many":           {add(1, 2, mail.Seen), add(1, 20, mail.Flagged)},
		"many, then few":           {add(1, 20, mail.Seen), add(2, 3, mail.Flagged)},
		"many, fewer, then few":    {add(1, 20, mail.Seen), expunge, add(2, 3, mail.Flagged)},
		"copied, then many":        {duplicate, add(15, 30, mail.Flagged)},
		"many, copied, then a few": {add(1, 20, mail.Seen), duplicate, add(20, 22, mail.Flagged)},
	} {
		e := mem.New()
		a := account(t, openStore(t, e), "a@b")
		for range 20 {
			deliver(t, a.s, a, "INBOX", "text", mail.Flags{})
		}
		id := boxOf(t, a, "INBOX").ID
		update(t, a, func(tx *Tx) error {
			for _, change := range changes {
				if err := change(tx, id); err != nil {
					return err
				}
			}
			return nil
		})
		sameWhenRead(t, name, e, a, id)
	}
}

// sameWhenRead compares the messages of a mailbox with those that another store reads.
func sameWhenRead(t *testing.T, when string, e engine.Engine, a *Account, id MailboxID) {
	t.Helper()
	_, want, err := a.Messages(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := must(openStore(t, e).Account(ctx, a.ID())).Messages(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	for k, m := range want.Range(0, want.Len()) {
		if r := got.At(k); r.ModSeq != m.ModSeq || !r.Flags.Equal(m.Flags) {
			t.Errorf("%s: message %d has %v at %d, and %v at %d when read again", when, m.UID, m.Flags, m.ModSeq, r.Flags, r.ModSeq)
		}
	}
}
