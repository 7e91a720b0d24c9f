package imapserver

import (
	"context"
	"slices"
	"sync"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// parseFetch is FETCH (RFC 3501 §6.4.5).
func parseFetch(s *session, d *imapwire.Decoder) request {
	d.Space()
	set := d.NumSet()
	d.Space()
	items := d.FetchItems()
	m := d.FetchModifiers()
	s.checkModifiers(d, m)
	if d.Err() != nil {
		return nil
	}
	if m.Changed {
		items = append(items, imapwire.FetchItem{Name: "MODSEQ"})
	}
	plan := fetchPlan(items, s.byUID && !s.has(uidOnly))
	return func(ctx context.Context, s *session) error { return s.fetch(ctx, set, plan, m) }
}

// checkModifiers refuses what RFC 7162 §3.2.6 and RFC 9394 §3.3 forbid.
func (s *session) checkModifiers(d *imapwire.Decoder, m imapwire.FetchModifiers) {
	switch {
	case m.Vanished && !s.has(qresync):
		d.Fail("VANISHED needs ENABLE QRESYNC first")
	case m.Vanished && !m.Changed:
		d.Fail("VANISHED needs CHANGEDSINCE")
	case (m.Vanished || m.Partial != nil) && !s.byUID:
		d.Fail("VANISHED and PARTIAL are for UID FETCH")
	}
}

// plannedItem is a data item with the row that answers it.
type plannedItem struct {
	*imapwire.FetchItem
	row *fetchRow
}

type plan struct {
	items  []plannedItem
	seen   bool // sets \Seen
	modseq bool // enables CONDSTORE
}

// fetchPlan looks the items up and leaves doubled ones out. UID is part of
// each answer to UID FETCH (RFC 3501 §6.4.8).
func fetchPlan(items []imapwire.FetchItem, byUID bool) plan {
	var p plan
	if byUID {
		items = append([]imapwire.FetchItem{{Name: "UID"}}, items...)
	}
	for i := range items {
		p.add([]plannedItem{{&items[i], fetchRows[items[i].Name]}})
	}
	return p
}

// add adds items that are not in the plan yet.
func (p *plan) add(items []plannedItem) {
	for _, item := range items {
		if item.row.section == nil && slices.ContainsFunc(p.items, func(have plannedItem) bool { return have.Name == item.Name }) {
			continue
		}
		p.items = append(p.items, item)
		p.seen = p.seen || item.row.seen && !item.Peek
		p.modseq = p.modseq || item.Name == "MODSEQ"
	}
}

// fetcher answers for one message after the other.
type fetcher struct {
	ctx  context.Context
	s    *session
	out  []byte      // answers that are not in the connection yet
	from int         // where that for m begins
	sent bool        // some of it is in the connection
	scan *store.Scan // nil: nothing was asked for yet

	m      *store.Message
	sum    *message.Summary       // nil: not asked for yet
	known  store.Known            // what is kept of m, if looked
	looked bool                   // for that
	before bool                   // m was asked for before, if looked
	news   bool                   // something is to be kept: made, or that m was asked for
	made   [store.FormsMax][]byte // in answers that are not in the connection yet
	body   store.Body             // nil: not open

	selected []byte // header fields, used again
	nothing  bool   // the item has nothing to tell of this message

	uids   mail.UIDSet // of all messages of the command
	labels labels      // of these; nil: not asked for yet
}

var fetchBuffers = sync.Pool{New: func() any { return new([]byte) }}

const (
	fetchBufferMax = 1 << 20  // the largest buffer that is kept for the next command
	fetchWrite     = 64 << 10 // so many octets of answers are written at a time
)

func (s *session) fetch(ctx context.Context, set imapwire.NumSet, p plan, mods imapwire.FetchModifiers) error {
	v := s.view
	ranges, err := v.ranges(set, s.byUID)
	if err != nil {
		return err
	}
	if p.modseq {
		s.enable(condstore)
	}
	if mods.Vanished {
		if err := s.tellVanished(ctx, v.uidRanges(set), mods.ChangedSince, 0); err != nil {
			return err
		}
	}
	uids, fewer, err := s.limitFetch(v.modified(ranges, mods), mods)
	if err != nil {
		return err
	}
	messages := v.list.Select(uids)
	if fewer {
		messages = descending(messages)
	}
	s.looked += int64(uids.Len())
	buffer := fetchBuffers.Get().(*[]byte)
	f := &fetcher{ctx: ctx, s: s, uids: uids, out: (*buffer)[:0]}
	defer func() {
		f.closeScan()
		if cap(f.out) <= fetchBufferMax {
			*buffer = f.out
			fetchBuffers.Put(buffer)
		}
	}()
	var unseen mail.UIDSet
	var failed error
	for i, m := range messages {
		if err := f.message(i, m, p); err != nil {
			if fatal(err) {
				return err
			}
			failed = err
			continue
		}
		if p.seen && !m.Flags.Has(mail.Seen) {
			unseen = unseen.Append(m.UID)
		}
	}
	if err := f.flush(); err != nil {
		return err
	}
	if len(unseen) > 0 && !v.examined {
		seen := &storeCommand{FlagChange: store.FlagChange{Op: store.FlagsAdd, Flags: mail.NewFlags(mail.Seen)}}
		if _, _, err := s.setFlags(ctx, unseen, seen); err != nil && !errs.Is(err, errs.Denied) { // RFC 4314 §4
			return err
		}
	}
	if errs.Is(failed, errs.NotFound) && fewer {
		s.code = "EXPUNGEISSUED" // RFC 9738 §3.1
		return nil
	}
	if errs.Is(failed, errs.NotFound) {
		return errs.As("imapserver.fetch", errs.Expunged, "some of the messages were expunged by another session", failed)
	}
	return failed
}

// modified returns the messages that the modifiers leave of some UIDs. PARTIAL
// comes before CHANGEDSINCE (RFC 9394 §3.4).
func (v *view) modified(uids mail.UIDSet, mods imapwire.FetchModifiers) mail.UIDSet {
	if mods.Partial != nil {
		uids = v.list.Existing(uids)
		uids = uids.Slice(mods.Partial.Of(uids.Len()))
	}
	if mods.ChangedSince > 0 {
		return v.list.ChangedSince(uids, mods.ChangedSince)
	}
	return v.list.Existing(uids)
}

// message makes the answer for one message: whole or, when something of it
// cannot be read, not at all. Answers are sent together.
func (f *fetcher) message(i int, m *store.Message, p plan) error {
	f.begin(m)
	defer f.end()
	f.from = len(f.out)
	f.out = f.s.fetchStart(f.out, i, m)
	told := 0
	for _, item := range p.items {
		end := len(f.out)
		if told > 0 {
			f.out = append(f.out, ' ')
		}
		f.nothing = false
		if err := item.row.run(f, item.FetchItem); err != nil {
			return f.failed(err)
		}
		if f.nothing {
			f.out = f.out[:end]
		} else {
			told++
		}
	}
	if told == 0 {
		f.out = f.out[:f.from]
		return nil
	}
	if f.out = append(f.out, ")\r\n"...); len(f.out) < fetchWrite {
		return nil
	}
	return f.flush()
}

// begin turns to a message.
func (f *fetcher) begin(m *store.Message) {
	f.m, f.sum, f.sent = m, nil, false
	f.looked = false
}

// end ends with a message.
func (f *fetcher) end() {
	f.keepMade()
	f.closeBody()
}

// keepMade keeps what was made of the message for who asks again.
func (f *fetcher) keepMade() {
	if f.news {
		var k store.Known
		k.AddForms(f.made)
		f.s.srv.store.Keep(f.m, k)
		f.news, f.made = false, [store.FormsMax][]byte{}
	}
}

// flush sends the answers. Summaries hold no file meanwhile.
func (f *fetcher) flush() error {
	f.keepMade()
	f.closeScan()
	_, err := f.s.conn.Write(f.out)
	f.out, f.from = f.out[:0], 0
	return err
}

// failed returns why a message cannot be read: the end of the session, if the
// client waits for the rest of a literal.
func (f *fetcher) failed(err error) error {
	if f.sent {
		return &byeError{"[" + kindCodes[errs.KindOf(err)] + "] A message cannot be read"}
	}
	f.out = f.out[:f.from]
	return err
}

// look looks for what the store keeps of the message.
func (f *fetcher) look() {
	if !f.looked {
		f.known, f.before = f.s.srv.store.Known(f.m)
		f.looked, f.sum = true, f.known.Summary
	}
}

// kept returns a form that the store keeps of the message, nil for none.
func (f *fetcher) kept(form int) []byte {
	f.look()
	return f.known.Form(form)
}

// keep has a form kept, as it was made behind from, unless one is kept already: kept
// was asked before.
func (f *fetcher) keep(form, from int) {
	if f.known.Form(form) == nil {
		f.made[form], f.news = f.out[from:], true
	}
}

// summary returns what is known of the message without its octets, until the next
// one. The store keeps it when the message was asked for before.
func (f *fetcher) summary() (*message.Summary, error) { return f.readSummary(true) }

// glance is summary for what a form is made of: only that is kept then, which is
// smaller, and serves most clients.
func (f *fetcher) glance() (*message.Summary, error) { return f.readSummary(false) }

func (f *fetcher) readSummary(keep bool) (*message.Summary, error) {
	if f.look(); f.sum != nil {
		return f.sum, nil
	}
	read := f.openScan().Read
	if keep && f.before {
		read = f.scan.Learn
	}
	sum, err := read(f.ctx, f.m)
	if err == nil {
		f.sum = sum
		f.news = f.news || !f.before
	}
	return sum, err
}

// summaryFields returns the header fields that the summary holds, and whether they
// are all of those that are kept, until the next message. It reads no more of it.
func (f *fetcher) summaryFields() (fields []byte, whole bool, err error) {
	if f.look(); f.sum != nil {
		return f.sum.Fields, f.sum.FieldsWhole, nil
	}
	return f.openScan().Fields(f.ctx, f.m)
}

func (f *fetcher) openScan() *store.Scan {
	if f.scan == nil {
		f.scan = f.s.srv.store.Scan()
	}
	return f.scan
}

// FormsVersion is another one whenever a form of the same message is: the store keeps
// forms over restarts, for a newer server too (TestFormsVersion).
const FormsVersion = 1

// Forms that the store keeps.
const (
	formEnvelope = iota
	formBodyStructure
	formFields // of header fields, those that were asked for first
)

// MakeForms makes the forms that depend on nothing but the summary, behind each other
// in the memory of buf, as form would.
func MakeForms(buf []byte, sum *message.Summary) (forms [store.FormsMax][]byte, _ []byte) {
	buf = appendEnvelope(buf[:0], sum)
	n := len(buf)
	buf = appendBodyStructure(buf, sum)
	forms[formEnvelope], forms[formBodyStructure] = buf[:n], buf[n:]
	return forms, buf
}

// form appends what render makes of the summary, or what it made before.
func (f *fetcher) form(form int, render func(dst []byte, sum *message.Summary) []byte) error {
	if kept := f.kept(form); kept != nil {
		f.out = append(f.out, kept...)
		return nil
	}
	sum, err := f.glance()
	if err != nil {
		return err
	}
	from := len(f.out)
	f.out = render(f.out, sum)
	f.keep(form, from)
	return nil
}

func (f *fetcher) open() (store.Body, error) {
	if f.body == nil {
		body, err := f.s.srv.store.Body(f.ctx, f.m)
		if err != nil {
			return nil, err
		}
		f.body = body
	}
	return f.body, nil
}

func (f *fetcher) closeScan() {
	if f.scan != nil {
		f.scan.Close()
	}
}

func (f *fetcher) closeBody() {
	if f.body != nil {
		f.body.Close()
		f.body = nil
	}
}
