package store

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/engine/mem"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

var ctx = context.Background()

func openStore(t testing.TB, e engine.Engine) *Store {
	t.Helper()
	s, err := Open(ctx, e, Options{Now: time.Now, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func engines(t *testing.T) map[string]engine.Engine {
	l, err := local.Open(ctx, vfs.NewMem(), "store", local.Options{Now: time.Now, IndexFS: pebblevfs.NewMem(), CompactEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return map[string]engine.Engine{"mem": mem.New(), "local": l}
}

func account(t testing.TB, s *Store, name string) *Account {
	t.Helper()
	info, err := s.AccountInfo(ctx, name)
	if errs.Is(err, errs.NotFound) {
		info, err = s.CreateAccount(ctx, name, "x")
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(ctx, info.ID)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func update(t testing.TB, a *Account, fn func(*Tx) error) mail.ModSeq {
	t.Helper()
	m, err := a.Update(ctx, fn)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func deliver(t testing.TB, s *Store, a *Account, mailbox, text string, flags mail.Flags) mail.UID {
	t.Helper()
	st, err := s.Stage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Discard()
	st.Write([]byte(text))
	staged, err := st.Seal()
	if err != nil {
		t.Fatal(err)
	}
	var uid mail.UID
	update(t, a, func(tx *Tx) error {
		box, err := tx.Snapshot().Mailbox(mailbox)
		if err != nil {
			return err
		}
		uid, err = tx.Append(box.ID, staged, AppendOptions{Flags: flags})
		return err
	})
	return uid
}

// checkStore fails for everything that Check finds.
func checkStore(t testing.TB, s *Store) {
	t.Helper()
	for f, err := range s.Check(ctx, CheckOptions{}) {
		t.Fatal(f, err)
	}
}

// model is a naive account: what each mailbox holds.
type model struct {
	boxes    map[string]map[mail.UID]string // flags and text
	next     map[string]mail.UID
	noSel    map[string]bool
	validity map[string]uint32
}

func newModel(v *Snapshot) *model {
	m := &model{boxes: map[string]map[mail.UID]string{}, next: map[string]mail.UID{}, noSel: map[string]bool{}, validity: map[string]uint32{}}
	for b := range v.Mailboxes() {
		m.boxes[b.Name], m.next[b.Name] = map[mail.UID]string{}, 1
	}
	return m
}

func (m *model) check(t *testing.T, s *Store, a *Account) {
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
		got := map[mail.UID]string{}
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
			got[x.UID] = x.Flags.String() + "|" + string(text)
		}
		if !reflect.DeepEqual(got, m.boxes[b.Name]) || b.UIDNext != m.next[b.Name] && !b.NoSelect || b.NoSelect != m.noSel[b.Name] {
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
	flags := []mail.Flags{mail.NewFlags(mail.Seen), mail.NewFlags(mail.Deleted, "kw"), mail.NewFlags(0, "other", "kw"), {}}[rng.IntN(4)]
	switch k := rng.IntN(12); {
	case k < 4 && !m.noSel[to]:
		text := fmt.Sprintf("Subject: %d\r\n\r\nbody", n)
		uid := deliver(t, s, a, to, text, flags)
		m.boxes[to][uid] = flags.String() + "|" + text
		m.next[to] = uid + 1
	case k < 6:
		op := FlagOp(rng.IntN(3))
		update(t, a, func(tx *Tx) error {
			_, err := tx.SetFlags(fb.ID, set, FlagChange{Op: op, Flags: flags})
			return err
		})
		for uid, x := range m.boxes[from] {
			if set.Contains(uid) {
				m.boxes[from][uid] = modelFlags(x, op, flags)
			}
		}
	case k < 8 && !m.noSel[to] && (k == 6 || from != to):
		m.transfer(t, a, fb, tb, set, k == 7)
	case k < 9:
		update(t, a, func(tx *Tx) error {
			_, err := tx.Expunge(fb.ID, set)
			return err
		})
		maps.DeleteFunc(m.boxes[from], func(uid mail.UID, _ string) bool { return set.Contains(uid) })
	case k < 10:
		m.create(t, a, fmt.Sprintf("box%d/sub%d", rng.IntN(4), rng.IntN(3)))
	case k < 11:
		m.remove(t, a, fb)
	default:
		m.rename(t, a, fb, fmt.Sprintf("new%d", rng.IntN(5)))
	}
}

func modelFlags(x string, op FlagOp, f mail.Flags) string {
	old, text, _ := strings.Cut(x, "|")
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
	return is.String() + "|" + text
}

func (m *model) transfer(t *testing.T, a *Account, from, to *Mailbox, set mail.UIDSet, move bool) {
	var c Copied
	update(t, a, func(tx *Tx) (err error) {
		if move {
			c, err = tx.Move(from.ID, set, to.ID)
		} else {
			c, err = tx.Copy(from.ID, set, to.ID)
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
			m.boxes[n], m.next[n], m.noSel[n] = map[mail.UID]string{}, 1, false
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
		m.boxes[name], m.noSel[name] = map[mail.UID]string{}, true
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
		m.boxes[to], m.next[to] = map[mail.UID]string{}, 1
		for _, uid := range slices.Sorted(maps.Keys(m.boxes[mail.Inbox])) {
			m.boxes[to][m.next[to]] = m.boxes[mail.Inbox][uid]
			m.next[to]++
		}
		m.boxes[mail.Inbox] = map[mail.UID]string{}
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
						m.check(t, s, a)
					}
				}
				m.check(t, s, a)
			}
		})
	}
}

// stepBehind appends through a store whose memory is old.
func (m *model) stepBehind(t *testing.T, s *Store, a *Account, rng *rand.Rand, n int) {
	text := fmt.Sprintf("Subject: behind %d\r\n\r\n", n)
	uid := deliver(t, s, a, mail.Inbox, text, mail.Flags{})
	m.boxes[mail.Inbox][uid] = "|" + text
	m.next[mail.Inbox] = uid + 1
}

func TestDiffAndWith(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	for i := range 600 {
		deliver(t, s, a, "INBOX", fmt.Sprint(i), mail.Flags{})
	}
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	old, err := v.Messages(ctx, box.ID)
	if err != nil {
		t.Fatal(err)
	}
	update(t, a, func(tx *Tx) error {
		tx.Expunge(box.ID, mail.UIDSet{{First: 10, Last: 300}})
		tx.SetFlags(box.ID, mail.UIDSet{{First: 400, Last: 401}}, FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(mail.Seen)})
		return nil
	})
	deliver(t, s, a, "INBOX", "new", mail.Flags{})
	v, _ = a.Snapshot()
	now, _ := v.Messages(ctx, box.ID)
	d := Diff(old, now)
	if d.Gone.String() != "10:300" || d.Added.String() != "601" || d.Changed.String() != "400:401" {
		t.Fatalf("%+v", d)
	}
	if old.Len() != 600 || now.Len() != 310 {
		t.Fatalf("%d, then %d messages", old.Len(), now.Len())
	}
	both := old.With(now, d.Gone)
	if both.Len() != 601 || !reflect.DeepEqual(Diff(both, now), Changes{Gone: d.Gone}) {
		t.Fatalf("With: %d messages, %+v", both.Len(), Diff(both, now))
	}
}

func TestExpungePurge(t *testing.T) {
	e := mem.New()
	now := time.Unix(1_800_000_000, 0)
	s, err := Open(ctx, e, Options{Now: func() time.Time { return now }, PurgeEvery: -1, ScrubEvery: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "text", mail.NewFlags(0, "kw"))
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	l, _ := v.Messages(ctx, box.ID)
	m := l.At(0)
	update(t, a, func(tx *Tx) error { _, err := tx.Expunge(box.ID, mail.NewUIDSet(1)); return err })
	readable := func() bool { b, err := s.ReadBody(ctx, m, 0, 4); return err == nil && string(b) == "text" }
	if now = now.Add(13 * 24 * time.Hour); s.Purge(ctx) != nil || !readable() {
		t.Fatal("gone before the retention time")
	}
	if now = now.Add(2 * 24 * time.Hour); s.Purge(ctx) != nil || readable() {
		t.Fatal("still there after the retention time")
	}
}

func TestDeleteAccount(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "A@B.example")
	first := a.ID()
	if err := s.DeleteAccount(ctx, "a@b.example"); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Snapshot(); !errs.Is(err, errs.NotFound) {
		t.Fatalf("an open account after its deletion: %v", err)
	}
	if again := account(t, s, "a@b.example"); again.ID() == first {
		t.Fatal("the id was used again")
	}
}

// TestModSeq: each change of a message's flags raises its mod-sequence, and no
// other's.
func TestModSeq(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "one", mail.Flags{})
	deliver(t, s, a, "INBOX", "two", mail.Flags{})
	id := boxOf(t, a, "INBOX").ID
	modseqs := func() (all []mail.ModSeq) {
		_, l, err := a.Messages(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range l.Range(0, l.Len()) {
			all = append(all, m.ModSeq)
		}
		return all
	}
	before := modseqs()
	at := update(t, a, func(tx *Tx) error {
		_, err := tx.SetFlags(id, mail.NewUIDSet(1), FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(mail.Seen)})
		return err
	})
	if after := modseqs(); after[0] != at || after[0] <= before[0] || after[1] != before[1] {
		t.Fatalf("%v, then %v with the update %d", before, after, at)
	}
}

// failing is an engine whose commits fail on demand.
type failing struct {
	engine.Engine
	fail error
}

type failingSpace struct {
	engine.Space
	e *failing
}

func (f *failing) Space(ctx context.Context, id engine.SpaceID) (engine.Space, error) {
	s, err := f.Engine.Space(ctx, id)
	return failingSpace{s, f}, err
}

func (s failingSpace) Commit(ctx context.Context, expect engine.Version, b *engine.Batch) (engine.Version, error) {
	if s.e.fail != nil {
		return 0, s.e.fail
	}
	return s.Space.Commit(ctx, expect, b)
}

// TestNotVisible: what did not become durable is never seen.
func TestNotVisible(t *testing.T) {
	e := &failing{Engine: mem.New()}
	s := openStore(t, e)
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "one", mail.Flags{})
	before := must(a.Snapshot())
	for _, kind := range []errs.Kind{errs.Temporary, errs.NoSpace} {
		e.fail = errs.New("test", kind, "")
		_, err := a.Update(ctx, func(tx *Tx) error {
			_, err := tx.Expunge(boxOf(t, a, "INBOX").ID, mail.NewUIDSet(1))
			return err
		})
		if !errs.Is(err, kind) || must(a.Snapshot()) != before {
			t.Fatalf("after a failed commit: %v; the account changed: %v", err, must(a.Snapshot()) != before)
		}
	}
	e.fail = nil
	deliver(t, s, a, "INBOX", "two", mail.Flags{})
	checkStore(t, s)
}

// TestMessageKeywordLimit: one message has so many keywords at most, whether
// they come at once or one by one.
func TestMessageKeywordLimit(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "x", mail.Flags{})
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	for i, n := range []int{MessageKeywordsMax - 1, 1, 1} {
		k := make([]string, n)
		for j := range k {
			k[j] = fmt.Sprintf("k%d-%d", i, j)
		}
		_, err := a.Update(ctx, func(tx *Tx) error {
			_, err := tx.SetFlags(box.ID, mail.NewUIDSet(1), FlagChange{Op: FlagsAdd, Flags: mail.NewFlags(0, k...)})
			return err
		})
		if i < 2 && err != nil || i == 2 && !errs.Is(err, errs.Limit) {
			t.Errorf("step %d: %v", i, err)
		}
	}
}

func TestKeywordLimit(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	deliver(t, s, a, "INBOX", "x", mail.Flags{})
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	set := func(n int) error {
		k := make([]string, n)
		for i := range k {
			k[i] = fmt.Sprintf("k%d", i)
		}
		_, err := a.Update(ctx, func(tx *Tx) error {
			for part := range slices.Chunk(k, MessageKeywordsMax) {
				if _, err := tx.SetFlags(box.ID, mail.NewUIDSet(1), FlagChange{Flags: mail.NewFlags(0, part...)}); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	}
	_, err := a.Update(ctx, func(tx *Tx) error {
		_, err := tx.SetFlags(box.ID, mail.NewUIDSet(1), FlagChange{Flags: mail.NewFlags(0, "bad(keyword")})
		return err
	})
	if !errs.Is(err, errs.Invalid) {
		t.Fatalf("a keyword that is no atom: %v", err)
	}
	for _, n := range []int{KeywordsMax - 1, KeywordsMax} {
		if err := set(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := set(KeywordsMax + 1); !errs.Is(err, errs.Limit) {
		t.Fatalf("one keyword too many: %v", err)
	}
}

func TestMailboxLimit(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	v, _ := a.Snapshot()
	have := len(v.boxes)
	update(t, a, func(tx *Tx) error {
		for i := have; i < MailboxesMax; i++ {
			if _, err := tx.CreateMailbox(fmt.Sprintf("m%d", i), CreateOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	_, err := a.Update(ctx, func(tx *Tx) error { _, err := tx.CreateMailbox("over", CreateOptions{}); return err })
	if !errs.Is(err, errs.Limit) {
		t.Fatalf("one mailbox too many: %v", err)
	}
}

func TestWatch(t *testing.T) {
	s := openStore(t, mem.New())
	a := account(t, s, "a@b")
	woken, visible := 0, false
	stop := a.Watch(func() {
		woken++
		box, _ := a.state.Load().Mailbox("INBOX") // visible before the wake-up
		visible = box.Messages == uint32(woken)
	})
	for i := range 2 {
		deliver(t, s, a, "INBOX", "x", mail.Flags{})
		if woken != i+1 || !visible {
			t.Fatalf("after %d commits: woken %d times, visible %v", i+1, woken, visible)
		}
	}
	stop()
	deliver(t, s, a, "INBOX", "z", mail.Flags{})
	if woken != 2 {
		t.Fatal("woken after stop")
	}
}

func FuzzRows(f *testing.F) {
	box := &Mailbox{Name: "x", Keywords: []string{"a", "b"}}
	m := Message{UID: 3, Flags: mail.NewFlags(mail.Seen, "b"), Size: 5}
	f.Add(appendMessage(nil, &m, box))
	f.Add(box.encode())
	f.Add((&tombstone{uids: mail.NewUIDSet(3), messages: []Message{m}}).encode(box))
	f.Add((&tombstone{uids: mail.NewUIDSet(3), messages: []Message{m}, annotations: map[mail.UID][]byte{3: {1, 0}}}).encode(box))
	f.Add(encodeAnnotations([]Annotation{{Entry: "/comment", Private: []byte("x"), ModSeq: 7}}))
	f.Add(appendChunkFlags(nil, []Message{m}, box))
	f.Add(AccessKey{secret: accessSecret{1}}.encode())
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
		applyChunkFlags([]Message{m}, b, box)
	})
}

func bigList(b *testing.B, n int) (*Store, *Account, *Mailbox) {
	e, err := local.Open(ctx, vfs.Disk{}, b.TempDir(), local.Options{Now: time.Now, CompactEvery: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	s := openStore(b, e)
	a := account(b, s, "big@example.org")
	st, _ := s.Stage(ctx)
	st.Write([]byte("Subject: x\r\n\r\n"))
	staged, err := st.Seal()
	if err != nil {
		b.Fatal(err)
	}
	defer st.Discard()
	v, _ := a.Snapshot()
	box, _ := v.Mailbox("INBOX")
	update(b, a, func(tx *Tx) error {
		for range n {
			if _, err := tx.Append(box.ID, staged, AppendOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	return s, a, box
}

func BenchmarkLoad100k(b *testing.B) {
	_, a, box := bigList(b, 100_000)
	for b.Loop() {
		a.write.Lock()
		a.reloadLocked()
		a.write.Unlock()
		v, _ := a.Snapshot()
		if l, err := v.Messages(ctx, box.ID); err != nil || l.Len() != 100_000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkSetFlags10k(b *testing.B) {
	_, a, box := bigList(b, 10_000)
	op := FlagsAdd
	for b.Loop() {
		update(b, a, func(tx *Tx) error {
			_, err := tx.SetFlags(box.ID, mail.UIDSet{{First: 1, Last: 10_000}}, FlagChange{Op: op, Flags: mail.NewFlags(mail.Seen)})
			return err
		})
		op = FlagsAdd + FlagsRemove - op
	}
}
