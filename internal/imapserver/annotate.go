package imapserver

import (
	"context"
	"slices"
	"strconv"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// capAnnotate is the capability of RFC 5257: annotations of messages. Both the
// private and the shared values are the account's, which has one user.
const capAnnotate = "ANNOTATE-EXPERIMENT-1"

// tellAnnotations tells what annotations the mailbox can have (RFC 5257 §4.1).
func (s *session) tellAnnotations(v *view) {
	if !s.offers(capAnnotate) {
		return
	}
	level := strconv.Itoa(store.AnnotationMax)
	if v.readOnly() || v.rights&mail.RightAnnotate == 0 && !v.mine() {
		level = "READ-ONLY"
	}
	if !v.mine() {
		level += " NOPRIVATE" // RFC 5257 §4.1
	}
	s.line("* OK [ANNOTATIONS " + level + "] Messages can be annotated")
}

// fetchAnnotation is ANNOTATION (RFC 5257 §4.3). Entries that are named are told
// in any case; where only patterns are, and match none, the item is left out.
func fetchAnnotation(f *fetcher, item *imapwire.FetchItem) error {
	a := item.Annotation
	for i := range a.Entries {
		if len(a.Entries[i].Part) == 0 {
			continue
		}
		if sum, err := f.summary(); err != nil || !hasPart(sum, &a.Entries[i]) {
			return noPart(err)
		}
	}
	all, err := f.s.view.annotations(f.m.UID)
	if err != nil {
		return err
	}
	told := wantedAnnotations(a, all)
	if len(told) == 0 {
		f.nothing = true
		return nil
	}
	f.out = append(f.out, "ANNOTATION ("...)
	for i := range told {
		if i > 0 {
			f.out = append(f.out, ' ')
		}
		f.out = appendAnnotation(f.out, &told[i], a.Attributes)
	}
	f.out = append(f.out, ')')
	return nil
}

// annotations returns a message's, the private ones if they are the user's.
func (v *view) annotations(uid mail.UID) ([]store.Annotation, error) {
	all, err := v.acct.Annotations(v.box.ID, uid)
	if v.mine() {
		return all, err
	}
	all = slices.DeleteFunc(all, func(a store.Annotation) bool { return a.Shared == nil })
	for i := range all {
		all[i].Private = nil
	}
	return all, err
}

// wantedAnnotations returns the entries that are asked for, each once.
func wantedAnnotations(a *imapwire.AnnotationFetch, all []store.Annotation) (told []store.Annotation) {
	add := func(x store.Annotation) {
		if !slices.ContainsFunc(told, func(have store.Annotation) bool { return have.Entry == x.Entry }) {
			told = append(told, x)
		}
	}
	for i := range a.Entries {
		for _, x := range all {
			if x.Exists() && a.Patterns[i].Match(x.Entry) {
				add(x)
			}
		}
		if !a.Entries[i].IsPattern() {
			add(store.Annotation{Entry: a.Entries[i].Name})
		}
	}
	return told
}

// appendAnnotation appends an entry with its attributes. Sizes are strings (RFC
// 5257 §4.4).
func appendAnnotation(b []byte, a *store.Annotation, attributes []string) []byte {
	b = append(imapwire.AppendAString(b, a.Entry), " ("...)
	for i, name := range attributes {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(append(b, name...), ' ')
		switch name {
		case "value.priv":
			b = appendValue(b, a.Private)
		case "value.shared":
			b = appendValue(b, a.Shared)
		case "size.priv":
			b = append(strconv.AppendInt(append(b, '"'), int64(len(a.Private)), 10), '"')
		case "size.shared":
			b = append(strconv.AppendInt(append(b, '"'), int64(len(a.Shared)), 10), '"')
		}
	}
	return append(b, ')')
}

func hasPart(sum *message.Summary, e *imapwire.AnnotationEntry) bool {
	_, _, ok := sum.Section(e.Part, message.SectionWhole)
	return ok
}

// noPart is a BAD for an entry of a part that is not there (RFC 5257 §3.2.1), or
// the error that kept it from being looked for.
func noPart(err error) error {
	if err != nil {
		return err
	}
	return &imapwire.SyntaxError{Text: "an entry is of a part that the message does not have"}
}

// ofParts reports whether an entry is of a part.
func ofParts(values []imapwire.AnnotationValue) bool {
	return slices.ContainsFunc(values, func(v imapwire.AnnotationValue) bool { return v.Part != nil })
}

// checkParts refuses entries of parts that a message does not have.
func checkParts(sum *message.Summary, values []imapwire.AnnotationValue) error {
	for i := range values {
		if values[i].Part != nil && !hasPart(sum, &values[i].AnnotationEntry) {
			return noPart(nil)
		}
	}
	return nil
}

// annotationChanges returns what values change, unless they are beyond all limits
// already.
func annotationChanges(values []imapwire.AnnotationValue) (changes []store.AnnotationChange, err error) {
	entries := map[string]bool{}
	for _, v := range values {
		if len(v.Value) > store.AnnotationMax {
			return nil, annotationError(errs.New("imapserver.annotate", errs.TooBig, "the value is too large"))
		}
		changes = append(changes, store.AnnotationChange{Entry: v.Name, Private: v.Private, Value: v.Value})
		if v.Value != nil {
			entries[v.Name] = true
		}
	}
	if len(entries) > store.AnnotationEntriesMax || len(changes) > 2*store.AnnotationEntriesMax {
		return nil, annotationError(errs.New("imapserver.annotate", errs.Limit, "too many annotations for one command"))
	}
	return changes, nil
}

// annotationError gives an error its response code (RFC 5257 §4.5).
func annotationError(err error) error {
	switch {
	case errs.Is(err, errs.TooBig):
		return &refusal{"ANNOTATE TOOBIG", errs.PublicText(err)}
	case errs.Is(err, errs.Limit):
		return &refusal{"ANNOTATE TOOMANY", errs.PublicText(err)}
	}
	return err
}

// parseStoreAnnotation reads the annotations of STORE (RFC 5257 §4.5).
func parseStoreAnnotation(d *imapwire.Decoder, set imapwire.NumSet, cond store.Condition) request {
	d.Needs(capAnnotate)
	d.Space()
	values := d.AnnotationValues()
	return func(ctx context.Context, s *session) error { return s.storeAnnotations(ctx, set, values, cond) }
}

func (s *session) storeAnnotations(ctx context.Context, set imapwire.NumSet, values []imapwire.AnnotationValue, cond store.Condition) error {
	v := s.view
	if v.examined {
		return errReadOnly
	}
	changes, err := annotationChanges(values)
	if err != nil {
		return err
	}
	uids, err := v.resolve(set, s.byUID)
	if err != nil || len(uids) == 0 {
		return err
	}
	uids, _ = s.limit(uids)
	if err := s.checkPartsOf(ctx, uids, values); err != nil {
		return err
	}
	if cond.Conditional {
		s.enable(condstore)
	}
	s.looked += int64(uids.Len())
	var done store.Annotated
	var modseq mail.ModSeq
	err = s.changeMany(ctx, v.tree, uids.Len(), func(tx *store.Tx) (err error) {
		box, err := tx.Snapshot().MailboxByID(v.box.ID)
		if err == nil {
			err = v.mayAnnotate(box, changes)
		}
		if err != nil {
			return err
		}
		modseq = tx.ModSeq()
		done, err = tx.SetAnnotations(v.box.ID, uids, changes, cond)
		return err
	})
	if err != nil {
		return annotationError(err)
	}
	if len(done.Changed) > 0 {
		v.annotated = modseq
	}
	if s.has(condstore) { // RFC 5257 §4.5
		v.touched = uids
	}
	if len(done.Modified) > 0 {
		v.echo = done.Modified
		s.code = "MODIFIED " + v.setText(done.Modified, s.byUID)
	}
	return nil
}

// mayAnnotate decides over annotations of messages in a mailbox (RFC 5257 §3.4):
// private ones are for the owner.
func (t *tree) mayAnnotate(box *store.Mailbox, changes []store.AnnotationChange) error {
	for _, c := range changes {
		if c.Private && !t.mine() {
			return errNoPrivate
		}
		if c.Private {
			continue
		}
		if err := box.Allow(t.owner, t.user, mail.RightAnnotate); err != nil {
			return err
		}
	}
	return nil
}

// errNoPrivate refuses private annotations of what is somebody else's.
var errNoPrivate = &refusal{"NOPERM", "there are no private annotations of other users' mailboxes"}

// checkPartsOf looks whether messages have the parts that entries are of. Each
// message is read for that, so there may not be too many.
func (s *session) checkPartsOf(ctx context.Context, uids mail.UIDSet, values []imapwire.AnnotationValue) error {
	if !ofParts(values) {
		return nil
	}
	if uids.Len() > manyMessages {
		return &refusal{"LIMIT", "too many messages for annotations of their parts; use fewer"}
	}
	for _, m := range s.view.list.Select(uids) {
		sum, err := s.srv.store.Summary(ctx, m)
		if err == nil {
			err = checkParts(sum, values)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readAnnotations reads the annotations of a message that is appended, if there
// are any (RFC 5257 §4.7).
func readAnnotations(d *imapwire.Decoder) (values []imapwire.AnnotationValue) {
	for d.TakeWord("ANNOTATION") {
		d.Needs(capAnnotate)
		d.Space()
		values = append(values, d.AnnotationValues()...)
		d.Space()
	}
	return values
}

// tellsAnnotations reports whether the client is told which annotations others
// change: with the parameter of SELECT (RFC 5257 §4.2), or as NOTIFY says.
func (s *session) tellsAnnotations() bool {
	if s.notify != nil {
		return s.notify.selected.events&annotationChange != 0
	}
	return s.view.annotate
}

// changedAnnotations returns the names of entries of messages that were changed
// behind a mod-sequence of each message, but not by this session.
func (s *session) changedAnnotations(ctx context.Context, uids mail.UIDSet, since func(mail.UID) mail.ModSeq) (map[mail.UID][]string, error) {
	v := s.view
	some, err := v.acct.Annotated(ctx, v.box.ID, uids)
	if err != nil {
		return nil, err
	}
	names := make(map[mail.UID][]string, some.Len())
	for uid := range some.All() {
		all, err := v.annotations(uid)
		if errs.Is(err, errs.Corrupt) {
			continue // FETCH will say so
		}
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			if a.ModSeq > since(uid) && a.ModSeq != v.annotated {
				names[uid] = append(names[uid], a.Entry)
			}
		}
	}
	return names, nil
}

// appendAnnotationNames appends ANNOTATION without values (RFC 5257 §4.4).
func appendAnnotationNames(b []byte, names []string) []byte {
	b = append(b, "ANNOTATION ("...)
	for i, name := range names {
		if i > 0 {
			b = append(b, ' ')
		}
		b = imapwire.AppendAString(b, name)
	}
	return append(b, ')')
}
