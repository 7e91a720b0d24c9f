package imapserver

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// specialUseEntry sets a mailbox's special uses (RFC 6154 §4).
const specialUseEntry = "/private/specialuse"

// getMetadata is GETMETADATA (RFC 5464 §4.2).
type getMetadata struct {
	mailbox string
	entries []string
	depth   int   // -1: infinity
	maxSize int64 // -1: none
}

// parseGetMetadata reads the options before the mailbox, where the grammar has
// them, or behind it, as the RFC's examples do.
func parseGetMetadata(s *session, d *imapwire.Decoder) request {
	g := &getMetadata{maxSize: -1}
	d.Space()
	if d.Peek() == '(' {
		g.options(d)
		d.Space()
	}
	g.mailbox = d.Mailbox()
	d.Space()
	if d.Peek() == '(' && !d.PeekText("(/") && !d.PeekText("(\"/") {
		g.options(d)
		d.Space()
	}
	g.readEntries(d)
	return g.run
}

func (g *getMetadata) readEntries(d *imapwire.Decoder) {
	if d.Peek() == '(' {
		d.List(func() { g.entries = append(g.entries, readEntry(d)) })
	} else {
		g.entries = append(g.entries, readEntry(d))
	}
	if len(g.entries) == 0 {
		d.Fail("expected an entry")
	}
}

func (g *getMetadata) options(d *imapwire.Decoder) {
	d.List(func() {
		switch option := d.Word(); option {
		case "MAXSIZE":
			d.Space()
			g.maxSize = d.Number()
		case "DEPTH":
			d.Space()
			g.depth = readDepth(d)
		default:
			d.Fail("unknown option " + option)
		}
	})
}

func readDepth(d *imapwire.Decoder) int {
	switch d.Word() {
	case "0":
		return 0
	case "1":
		return 1
	case "INFINITY":
		return -1
	}
	d.Fail("expected 0, 1 or infinity")
	return 0
}

// readEntry reads an entry's name (RFC 5464 §3.2.1).
func readEntry(d *imapwire.Decoder) string {
	name := strings.ToLower(d.AString())
	if d.Err() == nil && !validEntry(name) {
		d.Fail("expected the name of an entry below /private or /shared")
	}
	return name
}

func validEntry(name string) bool {
	if !strings.HasPrefix(name, "/private/") && !strings.HasPrefix(name, "/shared/") ||
		len(name) > store.MetadataNameMax || strings.HasSuffix(name, "/") || strings.Contains(name, "//") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '*' || r == '%' })
}

// noted returns the mailbox of a METADATA command, if the user has the rights; 0
// for the server's own entries.
func (s *session) noted(ctx context.Context, name string) (x sight, id store.MailboxID, err error) {
	if name == "" {
		x, err = s.own.look()
		return x, 0, err
	}
	x, box, err := s.mailbox(ctx, name)
	if err == nil {
		err = mayMetadata(x, box)
	}
	if err != nil {
		return x, 0, err
	}
	return x, box.ID, nil
}

// mayMetadata decides over a mailbox's entries (RFC 5464 §3.3).
func mayMetadata(x sight, box *store.Mailbox) error {
	const one = mail.RightRead | mail.RightSeen | mail.RightWrite | mail.RightInsert | mail.RightPost
	if x.sees(box) && x.rights(box)&one != 0 {
		return nil
	}
	return box.Allow(x.owner, x.user, mail.RightLookup|one)
}

func (g *getMetadata) run(ctx context.Context, s *session) error {
	x, id, err := s.noted(ctx, g.mailbox)
	if err != nil {
		return err
	}
	longest, err := g.tell(ctx, s, x, id, g.mailbox)
	if longest > 0 {
		s.code = "METADATA LONGENTRIES " + strconv.Itoa(longest)
	}
	return err
}

// tell sends the entries of a mailbox, and returns the size of the longest
// value that is longer than wanted.
func (g *getMetadata) tell(ctx context.Context, s *session, x sight, id store.MailboxID, name string) (longest int, err error) {
	b := s.mailboxLine(nil, "METADATA", name)
	b = append(b, " ("...)
	start := len(b)
	tell := func(entry string, value []byte, size int) {
		if g.maxSize >= 0 && int64(size) > g.maxSize {
			longest = max(longest, size)
			return
		}
		if len(b) > start {
			b = append(b, ' ')
		}
		b = append(imapwire.AppendAString(b, entry), ' ')
		b = appendValue(b, value)
	}
	notes := x.notes(id)
	for _, n := range notes {
		if !g.wants(n.Entry) {
			continue
		}
		value, err := x.acct.Metadata(ctx, id, n.Entry)
		if errs.Is(err, errs.NotFound) {
			continue // removed this moment
		}
		if err != nil {
			return 0, err
		}
		tell(n.Entry, value, len(value))
	}
	if uses := specialUses(x, id); uses != "" && g.wants(specialUseEntry) {
		tell(specialUseEntry, []byte(uses), len(uses))
	}
	for _, entry := range g.entries {
		if g.depth == 0 && !slices.ContainsFunc(notes, func(n store.Note) bool { return n.Entry == entry }) &&
			(entry != specialUseEntry || specialUses(x, id) == "") {
			tell(entry, nil, 0)
		}
	}
	if len(b) > start {
		s.conn.Write(append(b, ")\r\n"...))
	}
	return longest, nil
}

// wants reports whether an entry is asked for.
func (g *getMetadata) wants(name string) bool {
	return slices.ContainsFunc(g.entries, func(entry string) bool {
		below, ok := strings.CutPrefix(name, entry)
		switch {
		case !ok:
			return false
		case below == "":
			return true
		case below[0] != '/' || g.depth == 0:
			return false
		}
		return g.depth < 0 || strings.Count(below, "/") == 1
	})
}

// notes returns the entries of a mailbox, the private ones if they are the user's.
func (x sight) notes(id store.MailboxID) []store.Note {
	if x.mine() {
		return x.Notes(id)
	}
	return slices.DeleteFunc(slices.Clone(x.Notes(id)), isPrivate)
}

func isPrivate(n store.Note) bool { return strings.HasPrefix(n.Entry, "/private/") }

func specialUses(x sight, id store.MailboxID) string {
	box, err := x.MailboxByID(id)
	if err != nil || !x.mine() {
		return ""
	}
	return strings.Join(box.SpecialUse.Names(), " ")
}

// appendValue appends a value, which may hold any octets; nil is NIL.
func appendValue(b, value []byte) []byte {
	switch {
	case value == nil:
		return append(b, "NIL"...)
	case hasNUL(value):
		b = append(strconv.AppendInt(append(b, "~{"...), int64(len(value)), 10), "}\r\n"...)
		return append(b, value...)
	}
	return imapwire.AppendString(b, string(value))
}

// parseSetMetadata is SETMETADATA (RFC 5464 §4.3): all of the entries or none.
func parseSetMetadata(s *session, d *imapwire.Decoder) request {
	d.Space()
	mailbox := d.Mailbox()
	d.Space()
	type change struct {
		entry string
		value []byte
	}
	var changes []change
	d.List(func() {
		c := change{entry: readEntry(d)}
		d.Space()
		if value, ok := d.Value(); ok {
			c.value = append([]byte{}, value...)
		}
		changes = append(changes, c)
	})
	if len(changes) == 0 {
		d.Fail("expected an entry and its value")
	}
	return func(ctx context.Context, s *session) error {
		x, id, err := s.noted(ctx, mailbox)
		if err != nil {
			return err
		}
		err = s.change(ctx, x.tree, func(tx *store.Tx) error {
			if err := s.mayNote(tx, x.tree, id); err != nil {
				return err
			}
			for _, c := range changes {
				switch {
				case !x.mine() && strings.HasPrefix(c.entry, "/private/"):
					return &refusal{"METADATA NOPRIVATE", "other users' mailboxes have no private entries"}
				case id == 0 && strings.HasPrefix(c.entry, "/shared/"):
					return errs.New("imapserver.setMetadata", errs.Denied, "these entries are the administrator's")
				case id != 0 && c.entry == specialUseEntry:
					err = setSpecialUse(tx, id, string(c.value))
				default:
					err = metadataError(tx.SetMetadata(id, c.entry, c.value))
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil && s.has(tellMetadata) {
			s.notes, err = s.notesNow()
		}
		return err
	}
}

// mayNote decides over changes of a mailbox's entries: those of other users, who
// all see them, need the right to write.
func (s *session) mayNote(tx *store.Tx, t *tree, id store.MailboxID) error {
	if id == 0 {
		return nil
	}
	if !t.mine() {
		_, err := t.in(tx).boxByID(id, mail.RightWrite)
		return err
	}
	box, err := tx.Snapshot().MailboxByID(id)
	if err != nil {
		return err
	}
	return mayMetadata(t.in(tx), box)
}

// notesNow returns the entries that there are, which the client needs not to
// be told.
func (s *session) notesNow() ([]store.Note, error) {
	v, err := s.own.acct.Snapshot()
	if err != nil {
		return nil, err
	}
	return v.AllNotes(), nil
}

// setSpecialUse replaces a mailbox's special uses by those in a text.
func setSpecialUse(tx *store.Tx, id store.MailboxID, text string) error {
	var use mail.SpecialUse
	for _, name := range strings.Fields(text) {
		one := mail.ParseSpecialUse(name)
		if one == 0 || one&virtualUses != 0 {
			return &refusal{"USEATTR", "the mailbox cannot have this use"}
		}
		use |= one
	}
	return tx.SetSpecialUse(id, use)
}

// metadataError gives an error its response code (RFC 5464 §4.3).
func metadataError(err error) error {
	switch {
	case errs.Is(err, errs.TooBig):
		return &refusal{"METADATA MAXSIZE " + strconv.Itoa(store.MetadataMax), errs.PublicText(err)}
	case errs.Is(err, errs.Limit):
		return &refusal{"METADATA TOOMANY", errs.PublicText(err)}
	}
	return err
}

// tellEnabledNotes tells a client that enabled METADATA which entries others
// changed.
func (s *session) tellEnabledNotes() {
	own, err := s.own.look()
	if err != nil {
		return // the next command will say
	}
	old := s.notes
	s.notes = own.AllNotes()
	s.tellNotes(old, own, func(string) bool { return true })
}

// tellNotes tells which entries are not as they were (RFC 5464 §4.4.2), of the
// mailboxes that are wanted, "" for the account itself.
func (s *session) tellNotes(old []store.Note, x sight, wanted func(mailbox string) bool) {
	now := x.AllNotes()
	if len(now) > 0 && len(old) == len(now) && &old[0] == &now[0] { // what changes them copies them
		return
	}
	for len(old) > 0 || len(now) > 0 {
		switch n := firstNote(old, now); {
		case n == 0:
			if old[0].ModSeq != now[0].ModSeq {
				s.tellNote(x, now[0], wanted)
			}
			old, now = old[1:], now[1:]
		case n < 0:
			s.tellNote(x, old[0], wanted)
			old = old[1:]
		default:
			s.tellNote(x, now[0], wanted)
			now = now[1:]
		}
	}
}

// firstNote tells in which of two lists the first entry comes first.
func firstNote(a, b []store.Note) int {
	switch {
	case len(b) == 0:
		return -1
	case len(a) == 0:
		return 1
	}
	return store.CompareNotes(a[0], b[0])
}

func (s *session) tellNote(x sight, n store.Note, wanted func(mailbox string) bool) {
	name := ""
	if n.Mailbox != 0 {
		box, err := x.MailboxByID(n.Mailbox)
		if err != nil || mayMetadata(x, box) != nil {
			return
		}
		name = x.name(box)
	}
	if !x.mine() && (name == "" || isPrivate(n)) || !wanted(name) {
		return
	}
	b := append(s.mailboxLine(nil, "METADATA", name), ' ')
	s.conn.Write(append(imapwire.AppendAString(b, n.Entry), "\r\n"...))
}
