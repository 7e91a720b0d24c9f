package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
)

// model is a naive account: what each mailbox holds.
type model struct {
	boxes    map[string]map[mail.UID]modelMessage
	next     map[string]mail.UID
	noSel    map[string]bool
	validity map[string]uint32
}

// modelMessage is a message of the model.
type modelMessage struct {
	flags, text string
	notes       modelNotes
}

// modelNotes is the values of a message's annotations: the private ones of
// modelEntries, then the shared ones. "" is NIL.
type modelNotes [2 * len(modelEntries)]string

var modelEntries = [...]string{"/altsubject", "/comment"}

func newModel(v *Snapshot) *model {
	m := &model{boxes: map[string]map[mail.UID]modelMessage{}, next: map[string]mail.UID{}, noSel: map[string]bool{}, validity: map[string]uint32{}}
	for b := range v.Mailboxes() {
		m.boxes[b.Name], m.next[b.Name] = map[mail.UID]modelMessage{}, 1
	}
	return m
}

func (m *model) check(t *testing.T, s *Store, a *Account, rng *rand.Rand) {
	t.Helper()
	v, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for b := range v.Mailboxes() {
		names = append(names, b.Name)
		l, err := v.Messages(ctx, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		checkSets(t, l, randomSet(rng, b.UIDNext))
		got := map[mail.UID]modelMessage{}
		notes := notesOf(t, a, b)
		for i, x := range l.Range(0, l.Len()) {
			if l.At(i) != x {
				t.Fatalf("At(%d) is another message", i)
			}
			if j, ok := l.Find(x.UID); !ok || j != i {
				t.Fatalf("Find(%d) = %d, %v; want %d", x.UID, j, ok, i)
			}
			text, err := s.ReadBody(ctx, x, 0, x.Size)
			if err != nil {
				t.Fatal(err)
			}
			got[x.UID] = modelMessage{x.Flags.String(), string(text), notes[x.UID]}
			delete(notes, x.UID)
		}
		if len(notes) > 0 {
			t.Fatalf("%s has annotations without messages: %v", b.Name, notes)
		}
		if !maps.Equal(got, m.boxes[b.Name]) || b.UIDNext != m.next[b.Name] && !b.NoSelect || b.NoSelect != m.noSel[b.Name] {
			t.Fatalf("%s holds %v, next %d, model %v, next %d", b.Name, got, b.UIDNext, m.boxes[b.Name], m.next[b.Name])
		}
		if was := m.validity[b.Name]; b.UIDValidity < was {
			t.Fatalf("UIDVALIDITY of %s went from %d to %d", b.Name, was, b.UIDValidity)
		}
		m.validity[b.Name] = b.UIDValidity
	}
	if want := slices.Sorted(maps.Keys(m.boxes)); !slices.Equal(names, want) {
		t.Fatalf("mailboxes %q, want %q", names, want)
	}
	checkStore(t, s)
}

// notesOf reads the annotations that there are in a mailbox.
func notesOf(t *testing.T, a *Account, box *Mailbox) map[mail.UID]modelNotes {
	t.Helper()
	all := map[mail.UID]modelNotes{}
	uids, err := a.Annotated(ctx, box.ID, mail.UIDSet{{First: 1, Last: mail.UIDMax}})
	if err != nil {
		t.Fatal(err)
	}
	for uid := range uids.All() {
		entries, err := a.Annotations(box.ID, uid)
		if err != nil {
			t.Fatal(err)
		}
		var notes modelNotes
		for _, e := range entries {
			i := slices.Index(modelEntries[:], e.Entry)
			notes[i], notes[i+len(modelEntries)] = string(e.Private), string(e.Shared)
		}
		all[uid] = notes
	}
	return all
}

func randomSet(rng *rand.Rand, max mail.UID) mail.UIDSet {
	var r []mail.UIDRange
	for range 1 + rng.IntN(3) {
		first := mail.UID(1 + rng.IntN(int(max)+2))
		r = append(r, mail.UIDRange{First: first, Last: first + mail.UID(rng.IntN(4))})
	}
	return mail.UIDSetOf(r...)
}

// step does one random thing to the account and to the model.
func (m *model) step(t *testing.T, s *Store, a *Account, rng *rand.Rand, n int) {
	names := slices.Sorted(maps.Keys(m.boxes))
	from, to := names[rng.IntN(len(names))], names[rng.IntN(len(names))]
	v, err := a.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	fb, _ := v.Mailbox(from)
	tb, _ := v.Mailbox(to)
	set := randomSet(rng, m.next[from])
	if rng.IntN(4) == 0 {
		set = mail.UIDSet{{First: 1, Last: m.next[from]}}
	}
	flags := []mail.Flags{mail.NewFlags(mail.Seen), mail.NewFlags(mail.Deleted, "kw"), mail.NewFlags(0, "other", "kw"), {}}[rng.IntN(4)]
	switch k := rng.IntN(14); {
	case k < 4 && !m.noSel[to]:
		text := fmt.Sprintf("Subject: %d\r\n\r\nbody", n)
		for range []int{1, 1, 1, fewChanged + 1}[rng.IntN(4)] {
			uid := deliver(t, s, a, to, text, flags)
			m.boxes[to][uid] = modelMessage{flags: flags.String(), text: text}
			m.next[to] = uid + 1
		}
	case k < 6:
		op, sets := FlagOp(rng.IntN(3)), []mail.UIDSet{set, randomSet(rng, m.next[from]), {{First: 1, Last: m.next[from]}}}
		rng.Shuffle(len(sets), func(i, k int) { sets[i], sets[k] = sets[k], sets[i] })
		sets = sets[:1+rng.IntN(3)] // changed one after the other in one Update, by turns added to and as op says
		ops := []FlagOp{op, FlagsAdd, op}
		update(t, a, func(tx *Tx) error {
			for i, set := range sets {
				if _, err := tx.SetFlags(fb.ID, set, FlagChange{Op: ops[i], Flags: flags}); err != nil {
					return err
				}
			}
			return nil
		})
		for i, set := range sets {
			for uid, x := range m.boxes[from] {
				if set.Contains(uid) {
					x.flags = modelFlags(x.flags, ops[i], flags)
					m.boxes[from][uid] = x
				}
			}
		}
	case k < 8 && !m.noSel[to] && (k == 6 || from != to):
		m.transfer(t, a, fb, tb, set, k == 7)
	case k < 9:
		update(t, a, func(tx *Tx) error {
			_, err := tx.Expunge(fb.ID, set)
			return err
		})
		maps.DeleteFunc(m.boxes[from], func(uid mail.UID, _ modelMessage) bool { return set.Contains(uid) })
	case k < 10:
		m.create(t, a, fmt.Sprintf("box%d/sub%d", rng.IntN(4), rng.IntN(3)))
	case k < 11:
		m.remove(t, a, fb)
	case k < 13:
		m.annotate(t, a, fb, set, rng)
	default:
		m.rename(t, a, fb, fmt.Sprintf("new%d", rng.IntN(5)))
	}
}

// annotate sets or deletes a value of some messages.
func (m *model) annotate(t *testing.T, a *Account, box *Mailbox, set mail.UIDSet, rng *rand.Rand) {
	n := rng.IntN(len(modelNotes{}))
	value := []string{"one", "two", ""}[rng.IntN(3)]
	change := AnnotationChange{Entry: modelEntries[n%len(modelEntries)], Private: n < len(modelEntries)}
	if value != "" {
		change.Value = []byte(value)
	}
	var want mail.UIDSet
	for _, uid := range slices.Sorted(maps.Keys(m.boxes[box.Name])) {
		if x := m.boxes[box.Name][uid]; set.Contains(uid) && x.notes[n] != value {
			x.notes[n] = value
			m.boxes[box.Name][uid] = x
			want = want.Append(uid)
		}
	}
	var done Annotated
	update(t, a, func(tx *Tx) (err error) {
		done, err = tx.SetAnnotations(box.ID, set, []AnnotationChange{change}, Condition{})
		return err
	})
	if done.Changed.String() != want.String() {
		t.Fatalf("annotations of %v were changed, want %v", done.Changed, want)
	}
}

func modelFlags(old string, op FlagOp, f mail.Flags) string {
	var sys mail.SystemFlags
	var kw []string
	for _, name := range strings.Fields(old) {
		if s := mail.SystemFlag(name); s != 0 {
			sys |= s
		} else {
			kw = append(kw, name)
		}
	}
	is := mail.NewFlags(sys, kw...)
	switch op {
	case FlagsAdd:
		is = is.Union(f)
	case FlagsRemove:
		is = is.Minus(f)
	default:
		is = f
	}
	return is.String()
}

func (m *model) transfer(t *testing.T, a *Account, from, to *Mailbox, set mail.UIDSet, move bool) {
	var c Copied
	update(t, a, func(tx *Tx) (err error) {
		if move {
			c, err = tx.Move(from.ID, set, to.ID, ByOwner)
		} else {
			c, err = tx.Copy(from.ID, set, to.ID, ByOwner)
		}
		return err
	})
	var source []mail.UID
	for uid := range m.boxes[from.Name] {
		if set.Contains(uid) {
			source = append(source, uid)
		}
	}
	if got := mail.NewUIDSet(source...); got.String() != c.Source.String() || c.Target.Len() != got.Len() {
		t.Fatalf("copied %v to %v, want %v", c.Source, c.Target, got)
	}
	slices.Sort(source)
	i := 0
	for uid := range c.Target.All() {
		m.boxes[to.Name][uid] = m.boxes[from.Name][source[i]]
		if move {
			delete(m.boxes[from.Name], source[i])
		}
		m.next[to.Name] = uid + 1
		i++
	}
}

func (m *model) create(t *testing.T, a *Account, name string) {
	_, err := a.Update(ctx, func(tx *Tx) error {
		_, err := tx.CreateMailbox(name, CreateOptions{})
		return err
	})
	if _, there := m.boxes[name]; there && !m.noSel[name] {
		if !errs.Is(err, errs.Exists) {
			t.Fatalf("CREATE of %s again: %v", name, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for n := name; n != ""; n = mail.ParentMailbox(n) {
		if _, there := m.boxes[n]; !there || n == name {
			m.boxes[n], m.next[n], m.noSel[n] = map[mail.UID]modelMessage{}, 1, false
		}
	}
}

func (m *model) children(name string) (below []string) {
	for n := range m.boxes {
		if strings.HasPrefix(n, name+"/") {
			below = append(below, n)
		}
	}
	return below
}

func (m *model) remove(t *testing.T, a *Account, box *Mailbox) {
	_, err := a.Update(ctx, func(tx *Tx) error { return tx.DeleteMailbox(box.ID) })
	name, below := box.Name, m.children(box.Name)
	switch {
	case name == mail.Inbox:
		if !errs.Is(err, errs.Denied) {
			t.Fatalf("DELETE INBOX: %v", err)
		}
		return
	case m.noSel[name] && len(below) > 0:
		if !errs.Is(err, errs.Invalid) {
			t.Fatalf("DELETE of a name only: %v", err)
		}
		return
	case err != nil:
		t.Fatal(err)
	case len(below) > 0:
		m.boxes[name], m.noSel[name] = map[mail.UID]modelMessage{}, true
		return
	}
	for n := name; n != "" && (n == name || m.noSel[n] && len(m.children(n)) == 0); n = mail.ParentMailbox(n) {
		delete(m.boxes, n)
		delete(m.next, n)
		delete(m.noSel, n)
	}
}

func (m *model) rename(t *testing.T, a *Account, box *Mailbox, to string) {
	_, err := a.Update(ctx, func(tx *Tx) error { return tx.RenameMailbox(box.ID, to) })
	if _, there := m.boxes[to]; there {
		if !errs.Is(err, errs.Exists) {
			t.Fatalf("RENAME to %s: %v", to, err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if box.Name == mail.Inbox {
		m.boxes[to], m.next[to] = map[mail.UID]modelMessage{}, 1
		for _, uid := range slices.Sorted(maps.Keys(m.boxes[mail.Inbox])) {
			m.boxes[to][m.next[to]] = m.boxes[mail.Inbox][uid]
			m.next[to]++
		}
		m.boxes[mail.Inbox] = map[mail.UID]modelMessage{}
		return
	}
	for _, n := range append(m.children(box.Name), box.Name) {
		x := to + n[len(box.Name):]
		m.boxes[x], m.next[x], m.noSel[x], m.validity[x] = m.boxes[n], m.next[n], m.noSel[n], m.validity[n]
		delete(m.boxes, n)
		delete(m.next, n)
		delete(m.noSel, n)
	}
}

// TestModel compares random histories with the naive model, on both engines,
// with the account read anew now and then, and with two stores on one engine.
func TestModel(t *testing.T) {
	for name, e := range engines(t) {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(12) {
				rng := rand.New(rand.NewPCG(seed, 1))
				who := fmt.Sprintf("user%d@example.org", seed)
				s := openStore(t, e)
				a := account(t, s, who)
				v, _ := a.Snapshot()
				m := newModel(v)
				other := openStore(t, e)
				for n := range 150 {
					switch {
					case rng.IntN(25) == 0:
						s = openStore(t, e)
						a = account(t, s, who)
					case rng.IntN(10) == 0:
						// The other store is behind, so that its commits conflict.
						m.stepBehind(t, other, account(t, other, who), rng, n)
						s = openStore(t, e)
						a = account(t, s, who)
						continue
					}
					m.step(t, s, a, rng, n)
					if n%10 == 0 {
						m.check(t, s, a, rng)
					}
				}
				m.check(t, s, a, rng)
			}
		})
	}
}

// stepBehind appends through a store whose memory is old.
func (m *model) stepBehind(t *testing.T, s *Store, a *Account, rng *rand.Rand, n int) {
	text := fmt.Sprintf("Subject: behind %d\r\n\r\n", n)
	uid := deliver(t, s, a, mail.Inbox, text, mail.Flags{})
	m.boxes[mail.Inbox][uid] = modelMessage{text: text}
	m.next[mail.Inbox] = uid + 1
}
