package store

import (
	"testing"
	"time"

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
