package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// Limits of ANNOTATE (RFC 5257 §4.1).
const (
	AnnotationMax        = 16 << 10 // octets of a value
	AnnotationEntriesMax = 32       // of one message
	AnnotationNameMax    = 255      // octets of an entry's name
	// annotationsUpdateMax is how many octets of annotations one Update writes:
	// a commit is in memory.
	annotationsUpdateMax = 32 << 20
	// annotationsKeptMax is how many of them one Expunge keeps for undelete.
	annotationsKeptMax = 8 << 20
)

// Annotation is an entry of a message's annotations (RFC 5257 §3). Nil is NIL. One
// that was removed stays without values, so that sessions learn of it, until its
// place is needed.
type Annotation struct {
	Entry           string
	Private, Shared []byte
	ModSeq          mail.ModSeq // of its last change
}

// Exists reports whether the entry has a value.
func (a *Annotation) Exists() bool { return a.Private != nil || a.Shared != nil }

// AnnotationChange sets one value of an entry; nil removes it.
type AnnotationChange struct {
	Entry   string
	Private bool // else the shared one
	Value   []byte
}

// value returns the value that a change is of.
func (c *AnnotationChange) value(a *Annotation) *[]byte {
	if c.Private {
		return &a.Private
	}
	return &a.Shared
}

// AnnotationChanges returns what gives another message the same annotations.
func AnnotationChanges(all []Annotation) (changes []AnnotationChange) {
	for _, a := range all {
		if a.Private != nil {
			changes = append(changes, AnnotationChange{a.Entry, true, a.Private})
		}
		if a.Shared != nil {
			changes = append(changes, AnnotationChange{a.Entry, false, a.Shared})
		}
	}
	return changes
}

// Annotations returns a message's annotations by name, as they are now, with
// those that were removed lately. A message that is not there has none. Errors:
// Corrupt.
func (a *Account) Annotations(mb MailboxID, uid mail.UID) ([]Annotation, error) {
	const op = "store.Annotations"
	snap, err := a.space.Snapshot()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	defer snap.Close()
	b, err := snap.Get(messageKey(rowAnnotation, mb, uint32(uid)))
	if errs.Is(err, errs.NotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	all, ok := decodeAnnotations(b)
	if !ok {
		return nil, corruptRow(op, "annotations cannot be read")
	}
	return all, nil
}

// Annotated returns which of the messages have annotations, or had some. It
// costs as much as there are.
func (a *Account) Annotated(ctx context.Context, mb MailboxID, uids mail.UIDSet) (some mail.UIDSet, err error) {
	const op = "store.Annotated"
	snap, err := a.space.Snapshot()
	if err != nil {
		return nil, errs.Wrap(op, err)
	}
	defer snap.Close()
	err = scanAnnotations(snap, mb, uids, func(uid mail.UID, _ []byte) error {
		some = some.Append(uid)
		return ctx.Err()
	})
	return some, errs.Wrap(op, err)
}

// scanAnnotations calls fn with the row of each of the messages that has one, in
// the order of UIDs.
func scanAnnotations(snap engine.Snapshot, mb MailboxID, uids mail.UIDSet, fn func(mail.UID, []byte) error) error {
	if len(uids) == 0 {
		return nil
	}
	from := messageKey(rowAnnotation, mb, uint32(uids[0].First))
	to := append(messageKey(rowAnnotation, mb, uint32(uids[len(uids)-1].Last)), 0)
	for p, err := range snap.Scan(from, to) {
		if err != nil {
			return err
		}
		uid, ok := annotationUID(p.Key)
		if !ok || !uids.Contains(uid) {
			continue
		}
		if err := fn(uid, p.Value); err != nil {
			return err
		}
	}
	return nil
}

// annotationUID returns the UID in a row's key.
func annotationUID(key []byte) (mail.UID, bool) {
	if len(key) != 13 {
		return 0, false
	}
	return mail.UID(binary.BigEndian.Uint32(key[9:])), true
}

const (
	hasPrivate = 1 << iota
	hasShared
)

func encodeAnnotations(all []Annotation) []byte {
	b := putUint([]byte{rowVersion}, uint64(len(all)))
	for _, a := range all {
		has := uint64(0)
		if a.Private != nil {
			has |= hasPrivate
		}
		if a.Shared != nil {
			has |= hasShared
		}
		b = putUint(putUint(putString(b, a.Entry), uint64(a.ModSeq)), has)
		if a.Private != nil {
			b = putString(b, string(a.Private))
		}
		if a.Shared != nil {
			b = putString(b, string(a.Shared))
		}
	}
	return b
}

func decodeAnnotations(b []byte) (all []Annotation, ok bool) {
	if len(b) == 0 || b[0] != rowVersion {
		return nil, false
	}
	r := row{b: b[1:]}
	for n := min(r.uint(), AnnotationEntriesMax); n > 0 && !r.bad; n-- {
		a := Annotation{Entry: r.string(), ModSeq: mail.ModSeq(r.uint())}
		has := r.uint()
		if has&hasPrivate != 0 {
			a.Private = []byte(r.string())
		}
		if has&hasShared != 0 {
			a.Shared = []byte(r.string())
		}
		all = append(all, a)
	}
	return all, !r.bad
}

// copiedAnnotations returns what a copy has of a row: its private values, its shared
// ones, or both. What cannot be read is copied as it is; nil is nothing.
func copiedAnnotations(b []byte, private, shared bool) []byte {
	all, ok := decodeAnnotations(b)
	if b == nil || !ok || private && shared {
		return b
	}
	all = slices.DeleteFunc(all, func(a Annotation) bool { return (a.Private == nil || !private) && (a.Shared == nil || !shared) })
	for i := range all {
		if !private {
			all[i].Private = nil
		}
		if !shared {
			all[i].Shared = nil
		}
	}
	if len(all) == 0 {
		return nil
	}
	return encodeAnnotations(all)
}

// annotate makes changes to a message's annotations, and reports whether they
// changed anything. Errors: TooBig, Limit.
func annotate(all []Annotation, changes []AnnotationChange, modseq mail.ModSeq) (_ []Annotation, changed bool, err error) {
	const op = "store.SetAnnotations"
	for i := range changes {
		c := &changes[i]
		if len(c.Value) > AnnotationMax {
			return nil, false, errs.New(op, errs.TooBig, "the value is too large")
		}
		at, found := findAnnotation(all, c.Entry)
		if !found {
			if c.Value == nil {
				continue
			}
			all = slices.Insert(all, at, Annotation{Entry: c.Entry})
		}
		value := c.value(&all[at])
		if bytes.Equal(*value, c.Value) && (*value == nil) == (c.Value == nil) {
			continue
		}
		*value, all[at].ModSeq, changed = c.Value, modseq, true
	}
	if all = forgetRemoved(all); len(all) > AnnotationEntriesMax {
		return nil, false, errs.New(op, errs.Limit, "a message would have too many annotations")
	}
	return all, changed, nil
}

func findAnnotation(all []Annotation, entry string) (int, bool) {
	return slices.BinarySearchFunc(all, entry, func(a Annotation, entry string) int { return strings.Compare(a.Entry, entry) })
}

// forgetRemoved takes removed entries out, the oldest first, where there are more
// than a message may have.
func forgetRemoved(all []Annotation) []Annotation {
	var removed []Annotation
	for _, a := range all {
		if !a.Exists() {
			removed = append(removed, a)
		}
	}
	slices.SortStableFunc(removed, func(a, b Annotation) int { return cmp.Compare(a.ModSeq, b.ModSeq) })
	for _, a := range removed[:min(len(removed), max(0, len(all)-AnnotationEntriesMax))] {
		at, _ := findAnnotation(all, a.Entry)
		all = slices.Delete(all, at, at+1)
	}
	return all
}

// annotationEdits is the rows of annotations that an Update changed.
type annotationEdits struct {
	rows   map[MailboxID]map[mail.UID][]byte // nil: deleted
	octets int                               // written
}

// put writes a message's annotations. Errors: Limit.
func (tx *Tx) putAnnotations(mb MailboxID, uid mail.UID, value []byte) error {
	if tx.annotations.octets += len(value); tx.annotations.octets > annotationsUpdateMax {
		return errs.New("store.SetAnnotations", errs.Limit, "the annotations of so many messages are too large to be written at once; use fewer messages")
	}
	tx.noteAnnotations(mb, uid, value)
	tx.next.annotated = true
	tx.batch.Put(messageKey(rowAnnotation, mb, uint32(uid)), value)
	return nil
}

func (tx *Tx) dropAnnotations(mb MailboxID, uid mail.UID) {
	tx.noteAnnotations(mb, uid, nil)
	tx.batch.Delete(messageKey(rowAnnotation, mb, uint32(uid)))
}

func (tx *Tx) noteAnnotations(mb MailboxID, uid mail.UID, value []byte) {
	e := &tx.annotations
	if e.rows == nil {
		e.rows = map[MailboxID]map[mail.UID][]byte{}
	}
	if e.rows[mb] == nil {
		e.rows[mb] = map[mail.UID][]byte{}
	}
	e.rows[mb][uid] = value
}

// eachAnnotated calls fn with the row of each of the messages that has one, with
// what this Update did, in any order. fn may change it.
func (tx *Tx) eachAnnotated(mb MailboxID, uids mail.UIDSet, fn func(mail.UID, []byte) error) error {
	if !tx.next.annotated {
		return nil // without a look into the index, which every EXPUNGE would take
	}
	snap, err := tx.a.space.Snapshot()
	if err != nil {
		return errs.Wrap("store.eachAnnotated", err)
	}
	defer snap.Close()
	changed := tx.annotations.rows[mb]
	var own []mail.UID
	for uid, value := range changed {
		if value != nil && uids.Contains(uid) {
			own = append(own, uid)
		}
	}
	done := map[mail.UID]bool{}
	for uid := range changed {
		done[uid] = true
	}
	slices.Sort(own)
	for _, uid := range own {
		if err := fn(uid, changed[uid]); err != nil {
			return err
		}
	}
	return scanAnnotations(snap, mb, uids, func(uid mail.UID, value []byte) error {
		if done[uid] {
			return nil
		}
		if err := tx.step(); err != nil {
			return err
		}
		return fn(uid, slices.Clone(value))
	})
}

// annotationRows returns the rows of messages. Errors: Limit.
func (tx *Tx) annotationRows(mb MailboxID, uids mail.UIDSet) (map[mail.UID][]byte, error) {
	rows, octets := map[mail.UID][]byte{}, 0
	err := tx.eachAnnotated(mb, uids, func(uid mail.UID, value []byte) error {
		if octets += len(value); octets > annotationsUpdateMax {
			return errs.New("store.annotationRows", errs.Limit, "the annotations of so many messages are too large to be changed at once; use fewer messages")
		}
		rows[uid] = value
		return nil
	})
	return rows, err
}

// Annotated is what SetAnnotations did.
type Annotated struct {
	Changed  mail.UIDSet // which did not have the values already
	Modified mail.UIDSet // that UnchangedSince kept from being changed
}

// SetAnnotations changes the annotations of those of the UIDs that exist. Errors:
// NotFound, TooBig, Limit.
func (tx *Tx) SetAnnotations(mb MailboxID, uids mail.UIDSet, changes []AnnotationChange, cond Condition) (done Annotated, err error) {
	l, err := tx.list(mb)
	if err != nil {
		return done, err
	}
	rows, err := tx.annotationRows(mb, uids)
	if err != nil {
		return done, err
	}
	e := &flagsEdit{tx: tx, list: editList(l)}
	for _, m := range l.Select(uids) {
		if err := tx.step(); err != nil {
			return done, err
		}
		var all []Annotation
		if b := rows[m.UID]; b != nil {
			var ok bool
			if all, ok = decodeAnnotations(b); !ok {
				return done, corruptRow("store.SetAnnotations", "annotations cannot be read")
			}
		}
		if cond.forbids(m, func() bool { return anyAnnotated(all, changes) }) {
			done.Modified = done.Modified.Append(m.UID)
			continue
		}
		all, changed, err := annotate(all, changes, tx.ModSeq())
		if err != nil {
			return done, err
		}
		if !changed {
			continue
		}
		if err := e.begin(mb); err != nil {
			return done, err
		}
		e.message(m.UID).ModSeq = tx.ModSeq()
		if err := tx.putAnnotations(mb, m.UID, encodeAnnotations(all)); err != nil {
			return done, err
		}
		done.Changed = done.Changed.Append(m.UID)
	}
	e.end()
	return done, nil
}

// anyAnnotated reports whether one of the values that are to be changed is there.
func anyAnnotated(all []Annotation, changes []AnnotationChange) bool {
	return slices.ContainsFunc(changes, func(c AnnotationChange) bool {
		at, found := findAnnotation(all, c.Entry)
		return found && *c.value(&all[at]) != nil
	})
}

// removeAnnotations deletes the rows of messages that went, and returns them as
// far as undelete is to have them.
func (tx *Tx) removeAnnotations(mb MailboxID, uids mail.UIDSet, keep bool) (kept map[mail.UID][]byte, err error) {
	octets := 0
	err = tx.eachAnnotated(mb, uids, func(uid mail.UID, value []byte) error {
		tx.dropAnnotations(mb, uid)
		if octets += len(value); keep && octets <= annotationsKeptMax {
			if kept == nil {
				kept = map[mail.UID][]byte{}
			}
			kept[uid] = value
		}
		return nil
	})
	return kept, err
}
