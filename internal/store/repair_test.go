package store

import (
	"testing"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/mail"
)

// TestRepair breaks rows in every way and repairs them; a second run, and
// Check, find nothing then.
func TestRepair(t *testing.T) {
	type state struct {
		a     *Account
		inbox MailboxID
		blob  engine.BlobID
	}
	for name, break_ := range map[string]func(b *engine.Batch, s state){
		"account row":        func(b *engine.Batch, s state) { b.Delete([]byte{rowAccount}) },
		"account row unread": func(b *engine.Batch, s state) { b.Put([]byte{rowAccount}, []byte{99}) },
		"mailbox row":        func(b *engine.Batch, s state) { b.Delete(key8(rowMailbox, uint64(s.inbox))) },
		"mailbox row unread": func(b *engine.Batch, s state) { b.Put(key8(rowMailbox, uint64(s.inbox)), []byte{99}) },
		"mailbox key":        func(b *engine.Batch, s state) { b.Put([]byte{rowMailbox, 1}, nil) },
		"message row":        func(b *engine.Batch, s state) { b.Delete(messageKey(rowMessage, s.inbox, 2)) },
		"message row unread": func(b *engine.Batch, s state) { b.Put(messageKey(rowMessage, s.inbox, 2), []byte{99}) },
		"message key":        func(b *engine.Batch, s state) { b.Put([]byte{rowMessage, 1}, nil) },
		"flags row unread":   func(b *engine.Batch, s state) { b.Put(messageKey(rowFlags, s.inbox, 0), []byte{99}) },
		"flags key":          func(b *engine.Batch, s state) { b.Put(append(key8(rowFlags, uint64(s.inbox)), 1), nil) },
		"flags far beyond": func(b *engine.Batch, s state) {
			b.Put(messageKey(rowFlags, s.inbox, 1<<32-1), []byte{99})
		},
		"lost octets":        func(b *engine.Batch, s state) { b.Drop(s.blob) },
		"tombstone unread":   func(b *engine.Batch, s state) { b.Put(append(key8(rowTombstone, uint64(s.inbox)), 1), []byte{99}) },
		"annotations unread": func(b *engine.Batch, s state) { b.Put(messageKey(rowAnnotation, s.inbox, 1), []byte{99}) },
		"annotations of the future": func(b *engine.Batch, s state) {
			b.Put(messageKey(rowAnnotation, s.inbox, 1), encodeAnnotations([]Annotation{{Entry: "/comment", ModSeq: 1 << 40}}))
		},
		"annotations of no message": func(b *engine.Batch, s state) { b.Put(messageKey(rowAnnotation, s.inbox, 77), encodeAnnotations(nil)) },
		"annotations of no mailbox": func(b *engine.Batch, s state) { b.Put(messageKey(rowAnnotation, 999, 1), encodeAnnotations(nil)) },
		"annotations' key":          func(b *engine.Batch, s state) { b.Put([]byte{rowAnnotation, 1}, nil) },
		"annotations of lost octets": func(b *engine.Batch, s state) {
			b.Put(messageKey(rowAnnotation, s.inbox, 2), encodeAnnotations([]Annotation{{Entry: "/comment", Shared: []byte("x")}}))
			b.Drop(s.blob)
		},
		"note unread":       func(b *engine.Batch, s state) { b.Put(noteKey(s.inbox, "/private/x"), []byte{99}) },
		"access key unread": func(b *engine.Batch, s state) { b.Put(key8(rowAccessKey, uint64(s.inbox)), []byte{rowVersion, 0, 1}) },
		"access key's key":  func(b *engine.Batch, s state) { b.Put([]byte{rowAccessKey, 1}, nil) },
		"access key of no mailbox": func(b *engine.Batch, s state) {
			b.Put(key8(rowAccessKey, 999), AccessKey{secret: accessSecret{1}}.encode())
		},
		"push registration unread": func(b *engine.Batch, s state) { b.Put(pushKey("phone", "1"), []byte{99}) },
		"push registration's key": func(b *engine.Batch, s state) {
			b.Put([]byte{rowPush, 9}, (&Push{Mailboxes: []MailboxID{s.inbox}}).encode())
		},
		"push registration of no mailbox": func(b *engine.Batch, s state) {
			b.Put(pushKey("phone", "1"), (&Push{Mailboxes: []MailboxID{s.inbox, 999}}).encode())
		},
		"counters and UIDNEXT": func(b *engine.Batch, s state) {
			b.Put(key8(rowMailbox, uint64(s.inbox)), (&Mailbox{Name: mail.Inbox, UIDValidity: 7, UIDNext: 1}).encode())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, mem.New())
			a := account(t, s, "a@b")
			for range 3 {
				deliver(t, s, a, "INBOX", "text", mail.Flags{})
			}
			box := boxOf(t, a, "INBOX")
			update(t, a, func(tx *Tx) error {
				_, err := tx.SetFlags(box.ID, mail.NewUIDSet(1), FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(mail.Seen)})
				return err
			})
			l, err := must(a.Snapshot()).Messages(ctx, box.ID)
			if err != nil {
				t.Fatal(err)
			}
			var b engine.Batch
			break_(&b, state{a, box.ID, l.At(1).Blob})
			if _, err := a.space.Commit(ctx, must(a.Snapshot()).version, &b); err != nil {
				t.Fatal(err)
			}
			s.mu.Lock()
			delete(s.mu.accounts, a.id)
			s.mu.Unlock()
			for _, dry := range []bool{true, false} {
				fixes, err := s.Repair(ctx, dry, func(int, int) {})
				if err != nil || len(fixes) == 0 || fixes[0].Account != "a@b" {
					t.Fatalf("%v, %v", fixes, err)
				}
			}
			if fixes, err := s.Repair(ctx, false, func(int, int) {}); err != nil || len(fixes) != 0 {
				t.Fatalf("a second time: %v, %v", fixes, err)
			}
			checkStore(t, s)
			a = account(t, s, "a@b")
			if n, _ := must(a.Snapshot()).Usage(); n < 2 {
				t.Fatalf("%d messages are left", n)
			}
			deliver(t, s, a, "INBOX", "new", mail.Flags{})
			checkStore(t, s)
		})
	}
}
