package imapserver

import (
	"context"
	"slices"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// listRequest is LIST with its extensions.
type listRequest struct {
	// Selection options (RFC 5258 §3.1, RFC 6154 §3).
	subscribed, specialUse, recursive bool
	reference                         string
	patterns                          []string
	octets                            int // of the patterns, with the reference in each
	extended                          bool
	// Return options (RFC 5258 §3.2, RFC 5819).
	tellSubscribed bool
	status         []string
	metadata       *getMetadata // RFC 9590
	myRights       bool         // RFC 8440

	xlist bool
}

// parseList is LIST (RFC 3501 §6.3.8, RFC 5258).
func parseList(s *session, d *imapwire.Decoder) request {
	var l listRequest
	d.Space()
	if d.Peek() == '(' {
		d.Needs("LIST-EXTENDED")
		l.extended = true
		l.selectionOptions(d)
		d.Space()
	}
	l.reference = d.Mailbox()
	d.Space()
	if d.Peek() == '(' {
		d.Needs("LIST-EXTENDED")
		l.extended = true
		d.List(func() { l.addPattern(d) })
	} else {
		l.addPattern(d)
	}
	if d.Take(' ') {
		d.Needs("LIST-EXTENDED")
		l.extended = true
		if d.Word() != "RETURN" {
			d.Fail("expected RETURN")
		}
		d.Space()
		l.returnOptions(d)
	}
	return l.run
}

func (l *listRequest) addPattern(d *imapwire.Decoder) {
	p := d.MailboxPattern()
	l.octets += len(l.reference) + len(p)
	if l.octets > patternMax || len(l.patterns) >= patternsMax {
		d.Fail("the pattern is too long")
	}
	l.patterns = append(l.patterns, p)
}

func (l *listRequest) selectionOptions(d *imapwire.Decoder) {
	d.List(func() {
		switch option := d.Word(); option {
		case "SUBSCRIBED":
			l.subscribed, l.tellSubscribed = true, true
		case "SPECIAL-USE":
			d.Needs("SPECIAL-USE")
			l.specialUse = true
		case "RECURSIVEMATCH":
			l.recursive = true
		case "REMOTE": // nothing is remote
		default:
			d.Fail("unknown selection option " + option)
		}
	})
	if l.recursive && !l.subscribed && !l.specialUse {
		d.Fail("RECURSIVEMATCH needs another selection option") // RFC 5258 §3.1
	}
}

func (l *listRequest) returnOptions(d *imapwire.Decoder) {
	d.List(func() {
		switch option := d.Word(); option {
		case "SUBSCRIBED":
			l.tellSubscribed = true
		case "CHILDREN", "SPECIAL-USE": // always told
		case "MYRIGHTS":
			d.Needs("LIST-MYRIGHTS")
			l.myRights = true
		case "STATUS":
			d.Needs("LIST-STATUS")
			d.Space()
			l.status = parseStatusItems(d)
		case "METADATA":
			d.Needs("LIST-METADATA")
			d.Space()
			l.metadata = &getMetadata{maxSize: -1}
			l.metadata.readEntries(d)
		default:
			d.Fail("unknown return option " + option)
		}
	})
}

// listed is a name that LIST may answer.
type listed struct {
	sight
	name       string
	box        *store.Mailbox // nil: there is no such mailbox
	level      bool           // nil: but it stands above others
	children   bool           // there are mailboxes below it
	subscribed bool
	selected   bool // satisfies the selection options
	below      bool // so does a name below it
	hidden     bool // one of those matches no pattern
	matched    bool
	oldName    string // before it was renamed
}

// listed returns a mailbox as LIST tells of it.
func (x sight) listed(box *store.Mailbox) *listed {
	return &listed{sight: x, name: x.name(box), box: box, children: x.hasChildren(box)}
}

func (l *listRequest) run(ctx context.Context, s *session) error {
	if !l.extended && l.patterns[0] == "" {
		s.line("* " + l.response() + ` (\Noselect) "/" ""`)
		return nil
	}
	s.enableByStatus(l.status)
	names, err := s.candidates(ctx, l)
	if err != nil {
		return err
	}
	for i := range names {
		n := &names[i]
		n.selected = (!l.subscribed || n.subscribed) && (!l.specialUse || n.box != nil && n.mine() && n.box.SpecialUse != 0)
	}
	matchNames(names, l.reference, l.patterns)
	for i := range names {
		n := &names[i]
		// RFC 5258 §3.3 point 2.
		if !n.matched || !n.selected && !(l.recursive && n.hidden) {
			continue
		}
		s.tellMailbox(n, l)
		if n.box == nil {
			continue
		}
		if err := l.tellMore(ctx, s, n); err != nil {
			return err
		}
	}
	return nil
}

// tellMore tells what the return options ask for of a mailbox, as far as the user
// has the rights.
func (l *listRequest) tellMore(ctx context.Context, s *session, n *listed) error {
	if l.myRights && n.selected {
		s.tellMyRights(n.sight, n.box)
	}
	if l.metadata != nil && !n.box.NoSelect && mayMetadata(n.sight, n.box) == nil {
		if _, err := l.metadata.tell(ctx, s, n.sight, n.box.ID, n.name); err != nil {
			return err
		}
	}
	if l.status != nil && !n.box.NoSelect && n.has(n.box, mail.RightRead) { // RFC 5819 §2
		return s.tellStatus(ctx, n.sight, n.box, l.status)
	}
	return nil
}

// candidates returns the names that there are, as far as LIST may be for them,
// and with subscribed those that are only subscribed, with all names above them.
func (s *session) candidates(ctx context.Context, l *listRequest) ([]listed, error) {
	own, err := s.own.look()
	if err != nil {
		return nil, err
	}
	var names []listed
	for box := range own.Mailboxes() {
		names = append(names, *own.listed(box))
	}
	if l.reaches(otherUsers) {
		names = append(names, s.sharedNames(ctx)...)
	}
	if l.subscribed {
		names = append(names, onlySubscribed(own, names)...)
	}
	slices.SortFunc(names, func(a, b listed) int { return strings.Compare(a.name, b.name) })
	for i := range names {
		names[i].subscribed = own.IsSubscribed(names[i].name)
	}
	return names, nil
}

// onlySubscribed returns the subscribed names that are not among those that there
// are, with the names above them.
func onlySubscribed(own sight, there []listed) (names []listed) {
	have := make(map[string]bool, len(there))
	for _, n := range there {
		have[n.name] = true
	}
	for sub := range own.Subscribed() {
		for n := sub; n != "" && !have[n]; n = mail.ParentMailbox(n) {
			have[n] = true
			names = append(names, listed{name: n, children: own.HasChildren(n)})
		}
	}
	return names
}

// sharedNames returns the names of the mailboxes of others that the user may know
// of, and those above them. A mailbox between them that the user may not know of
// is only a name (RFC 4314 §4).
func (s *session) sharedNames(ctx context.Context) (names []listed) {
	above := map[string]bool{}
	for _, x := range s.others(ctx) {
		for box := range x.Mailboxes() {
			if !x.sees(box) {
				continue
			}
			names = append(names, listed{sight: x, name: x.name(box), box: box})
			for n := mail.ParentMailbox(x.name(box)); n != "" && !above[n]; n = mail.ParentMailbox(n) {
				above[n] = true
			}
		}
	}
	for i := range names {
		names[i].children = above[names[i].name]
		delete(above, names[i].name)
	}
	for n := range above {
		names = append(names, listed{name: n, level: true, children: true})
	}
	return names
}

// reaches reports whether names below a prefix may match.
func (l *listRequest) reaches(prefix string) bool {
	return slices.ContainsFunc(l.patterns, func(p string) bool {
		p = l.reference + p
		if i := strings.IndexAny(p, "*%"); i >= 0 {
			p = p[:i]
		}
		n := min(len(p), len(prefix))
		return p[:n] == prefix[:n]
	})
}

// matchNames marks what matches a pattern, and the names above selected ones.
func matchNames(names []listed, reference string, patterns []string) {
	byName := make(map[string]*listed, len(names))
	var compiled, ofLevels []*pattern
	for _, p := range patterns {
		if p == "" { // RFC 5258 §3
			continue
		}
		compiled = append(compiled, compilePattern(reference+p))
		if strings.HasSuffix(p, "%") { // RFC 3501 §6.3.8
			ofLevels = append(ofLevels, compiled[len(compiled)-1])
		}
	}
	for i := range names {
		n := &names[i]
		byName[n.name] = n
		of := compiled
		if n.level {
			of = ofLevels
		}
		n.matched = slices.ContainsFunc(of, func(p *pattern) bool { return p.match(n.name) })
	}
	for i := range names {
		n := &names[i]
		if !n.selected {
			continue
		}
		for p := mail.ParentMailbox(n.name); p != ""; p = mail.ParentMailbox(p) {
			if above := byName[p]; above != nil {
				above.below = true
				above.hidden = above.hidden || !n.matched
			}
		}
	}
}

// tellMailbox sends one LIST response (RFC 3501 §7.2.2, RFC 5258 §3.5).
func (s *session) tellMailbox(n *listed, l *listRequest) {
	var attributes []string
	switch {
	case n.level, n.box != nil && n.box.NoSelect:
		attributes = append(attributes, `\Noselect`)
	case n.box == nil:
		attributes = append(attributes, `\NonExistent`)
	}
	if l.tellSubscribed && n.subscribed {
		attributes = append(attributes, `\Subscribed`)
	}
	switch {
	case !s.offers("CHILDREN"):
	case n.children:
		attributes = append(attributes, `\HasChildren`)
	default:
		attributes = append(attributes, `\HasNoChildren`)
	}
	if n.box != nil && n.mine() && (l.xlist || s.offers("SPECIAL-USE")) {
		attributes = append(attributes, l.uses(n.box)...)
	}
	b := s.appendMailboxLine(nil, l.response(), attributes, n.name)
	if l.recursive && l.subscribed && n.below {
		b = append(b, ` ("CHILDINFO" ("SUBSCRIBED"))`...)
	}
	if n.oldName != "" { // RFC 5465 §5.4
		b = append(s.appendMailbox(append(b, ` ("OLDNAME" (`...), n.oldName), "))"...)
	}
	s.conn.Write(append(b, "\r\n"...))
}

func (s *session) appendMailboxLine(b []byte, response string, attributes []string, name string) []byte {
	b = append(append(append(b, "* "...), response...), " ("...)
	b = append(b, strings.Join(attributes, " ")...)
	b = append(b, `) "/" `...)
	return s.appendMailbox(b, name)
}
