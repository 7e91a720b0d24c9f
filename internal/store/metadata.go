package store

import (
	"context"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// Limits of METADATA (RFC 5464 §4.3).
const (
	MetadataMax        = 64 << 10 // octets of a value
	MetadataEntriesMax = 100      // of one mailbox, and of the account itself
	MetadataNameMax    = 255      // octets of an entry's name
)

// Note is an entry of METADATA without its value.
type Note struct {
	Mailbox MailboxID // 0: of the account itself
	Entry   string    // in lower case
	Size    int       // octets of the value
	ModSeq  mail.ModSeq
}

// CompareNotes orders entries by mailbox and name.
func CompareNotes(a, b Note) int {
	if a.Mailbox != b.Mailbox {
		return int(int64(a.Mailbox) - int64(b.Mailbox))
	}
	return strings.Compare(a.Entry, b.Entry)
}

// Notes returns the entries of a mailbox, or with 0 of the account, by name.
func (v *Snapshot) Notes(mb MailboxID) []Note {
	from, _ := slices.BinarySearchFunc(v.notes, Note{Mailbox: mb}, CompareNotes)
	to, _ := slices.BinarySearchFunc(v.notes, Note{Mailbox: mb + 1}, CompareNotes)
	return v.notes[from:to:to]
}

// AllNotes returns all entries, by mailbox and name.
func (v *Snapshot) AllNotes() []Note { return v.notes }

func noteKey(mb MailboxID, entry string) []byte {
	return append(key8(rowNote, uint64(mb)), entry...)
}

// Metadata returns an entry's value. Errors: NotFound.
func (a *Account) Metadata(_ context.Context, mb MailboxID, entry string) ([]byte, error) {
	const op = "store.Metadata"
	snap, err := a.space.Snapshot()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	defer snap.Close()
	b, err := snap.Get(noteKey(mb, entry))
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	_, value, ok := decodeNote(b)
	if !ok {
		return nil, corruptRow(op, "a note cannot be read")
	}
	return value, nil
}

func encodeNote(m mail.ModSeq, value []byte) []byte {
	return append(putUint([]byte{rowVersion}, uint64(m)), value...)
}

func decodeNote(b []byte) (m mail.ModSeq, value []byte, ok bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return 0, nil, false
	}
	r := row{b: b[1:]}
	m = mail.ModSeq(r.uint())
	return m, r.b, !r.bad
}

// SetMetadata sets an entry of a mailbox, or with 0 of the account; nil removes
// it. The name is in lower case. Errors: NotFound, TooBig, Limit.
func (tx *Tx) SetMetadata(mb MailboxID, entry string, value []byte) error {
	const op = "store.SetMetadata"
	if mb != 0 {
		if _, err := tx.edit(mb); err != nil { // RFC 7162 §3.2: a change of the mailbox
			return err
		}
	}
	tx.changed = true
	n := Note{mb, entry, len(value), tx.ModSeq()}
	at, found := slices.BinarySearchFunc(tx.next.notes, n, CompareNotes)
	switch {
	case len(value) > MetadataMax:
		return errs.New(op, errs.TooBig, "the value is too large")
	case value == nil && !found:
		return nil
	case value != nil && !found && len(tx.next.Notes(mb)) >= MetadataEntriesMax:
		return errs.New(op, errs.Limit, "there are too many entries")
	}
	notes := slices.Clone(tx.next.notes)
	switch {
	case value == nil:
		notes = slices.Delete(notes, at, at+1)
		tx.batch.Delete(noteKey(mb, entry))
	case found:
		notes[at] = n
		tx.batch.Put(noteKey(mb, entry), encodeNote(n.ModSeq, value))
	default:
		notes = slices.Insert(notes, at, n)
		tx.batch.Put(noteKey(mb, entry), encodeNote(n.ModSeq, value))
	}
	tx.next.notes = notes
	return nil
}

// dropNotes removes the entries of a mailbox that is deleted.
func (tx *Tx) dropNotes(mb MailboxID) {
	if len(tx.next.Notes(mb)) > 0 {
		tx.next.notes = slices.DeleteFunc(slices.Clone(tx.next.notes), func(n Note) bool { return n.Mailbox == mb })
		prefix := key8(rowNote, uint64(mb))
		tx.batch.DeleteRange(prefix, prefixEnd(prefix))
	}
}

// readNotes reads the names of all entries.
func readNotes(snap engine.Snapshot) (notes []Note, err error) {
	const op = "store.readNotes"
	for p, err := range snap.Scan([]byte{rowNote}, []byte{rowNote + 1}) {
		if err != nil {
			return nil, errs.Wrap(op, err)
		}
		m, value, ok := decodeNote(p.Value)
		if !ok || len(p.Key) < 9 {
			return nil, corruptRow(op, "a note cannot be read")
		}
		notes = append(notes, Note{MailboxID(decodeID(p.Key[1:9])), string(p.Key[9:]), len(value), m})
	}
	return notes, nil
}
