package local

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine"
	"github.com/angarium/angarium/internal/engine/enginetest"
	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/vfs"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// letters are messages that have much in common, and here and there a body in
// base64. One is larger than a frame, one has a segment of its own, one begins with
// a frame that stays raw.
func letters(n int) (all [][]byte) {
	rng := rand.New(rand.NewPCG(4, 4))
	var words []string
	for range 500 {
		words = append(words, fmt.Sprintf("w%x", rng.Uint32()>>(8*rng.IntN(3))))
	}
	for i := range n {
		b := fmt.Appendf(nil, "Return-Path: <bounce-%d@example.org>\r\nMIME-Version: 1.0\r\nMessage-ID: <%x@mail.example.org>\r\n\r\n", i, rng.Uint64())
		for range 300 {
			b = append(append(b, words[rng.IntN(len(words))]...), ' ')
		}
		switch {
		case i%7 == 0:
			b = append(append(b, "\r\n\r\n"...), lines(random(3000+i), 76)...)
		case i == n/2:
			b = bytes.Repeat(b, 60)
		case i == n/2+1:
			b = bytes.Repeat(b, 600)
		case i == n/2+3:
			b = append(random(frameOctets), b...)
		}
		all = append(all, b)
	}
	return all
}

// denseStore is a store whose messages were all compressed.
type denseStore struct {
	disk    *vfs.Mem
	o       Options
	e       *Engine
	letters map[engine.BlobID][]byte
	found   []Finding
}

func newDenseStore(t *testing.T, segmentOctets int64) *denseStore {
	d := &denseStore{disk: vfs.NewMem(), o: options(), letters: map[engine.BlobID][]byte{}}
	d.o.SegmentOctets = segmentOctets
	now := time.Now()
	d.o.Now = func() time.Time { return now }
	d.o.Events.Finding = func(f Finding) { d.found = append(d.found, f) }
	d.e = open(t, d.disk, d.o)
	var b engine.Batch
	var writers []engine.BlobWriter
	for i, octets := range letters(1200) {
		id, w := enginetest.MakeBlob(t, d.e, octets, fmt.Appendf(nil, "summary %d", i))
		writers = append(writers, w)
		b.Keep(id)
		d.letters[id] = octets
	}
	if _, err := enginetest.Space(t, d.e, 1).Commit(t.Context(), 0, &b); err != nil {
		t.Fatal(err)
	}
	for _, w := range writers {
		w.Release()
	}
	if done, err := d.e.Compact(t.Context()); err != nil || done.After > 0 {
		t.Fatalf("what is new: %+v, %v", done, err)
	}
	now = now.Add(48 * time.Hour) // also the segment that is being written is old then
	if done, err := d.e.Compact(t.Context()); err != nil || done.After == 0 || done.After > done.Before*2/3 {
		t.Fatalf("%+v, %v", done, err)
	}
	return d
}

func (d *denseStore) reopen(t *testing.T) {
	t.Helper()
	if err := d.e.Close(); err != nil {
		t.Fatal(err)
	}
	d.e = open(t, d.disk, d.o)
}

// unread reads all messages, and returns those that cannot be read.
func (d *denseStore) unread(t *testing.T) (bad []engine.BlobID) {
	t.Helper()
	for id, want := range d.letters {
		got, err := enginetest.ReadBlob(d.e, id)
		if errs.Is(err, errs.Corrupt) {
			bad = append(bad, id)
		} else if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("blob %d: %d octets, want %d; %v", id, len(got), len(want), err)
		}
	}
	return bad
}

// dictionaries returns where the records of dictionaries are.
func (d *denseStore) dictionaries(t *testing.T) (all []position) {
	t.Helper()
	for _, seg := range d.e.allComplete() {
		if _, err := d.e.scan(t.Context(), seg, segmentHeader, seg.info.kind != kindBlob, func(r record, _ []byte) error {
			if isDictionary(r) {
				all = append(all, r.pos)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// damage flips a bit of the log.
func (d *denseStore) damage(t *testing.T, pos position, offset int64) {
	t.Helper()
	f, err := d.disk.Open(d.e.segmentName(pos.segment()))
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	f.ReadAt(b, pos.offset()+offset)
	b[0] ^= 4
	f.WriteAt(b, pos.offset()+offset)
	f.Sync()
}

func (d *denseStore) verify(t *testing.T) (damage []engine.Damage) {
	t.Helper()
	for found, err := range d.e.Verify(t.Context(), noPace) {
		if err != nil {
			t.Fatal(err)
		}
		damage = append(damage, found)
	}
	return damage
}

// TestDictionary: each dense segment has a dictionary and a copy of it, frames
// use it, and all comes back, also with a new index.
func TestDictionary(t *testing.T) {
	d := newDenseStore(t, 512<<10)
	defer func() { d.e.Close() }()
	bySegment := map[uint32]int{}
	for _, pos := range d.dictionaries(t) {
		bySegment[pos.segment()]++
	}
	if len(bySegment) < 2 {
		t.Fatalf("dictionaries in %v", bySegment)
	}
	for n, copies := range bySegment {
		if copies != 2 {
			t.Errorf("segment %d has %d dictionaries", n, copies)
		}
	}
	codings := map[uint32]int{}
	for id := range d.letters {
		opened, err := d.e.Blobs().Open(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := opened.(*blob)
		if b.head.dictionary == 0 && bySegment[b.file.number] > 0 {
			t.Errorf("blob %d names no dictionary", id)
		}
		for _, f := range b.frames {
			codings[f.coding]++
		}
		b.Close()
	}
	if codings[frameZstd] == 0 || codings[framePacked] == 0 {
		t.Errorf("codings of frames: %v", codings)
	}
	d.o.IndexFS = pebblevfs.NewMem()
	for range 2 {
		if bad := d.unread(t); len(bad) > 0 || len(d.found) > 0 || len(d.verify(t)) > 0 {
			t.Fatal(bad, d.found, d.verify(t))
		}
		live := d.e.Stats().Live
		d.reopen(t)
		if got := d.e.Stats().Live; got != live {
			t.Errorf("%d octets are kept, %d before the index was made anew", got, live)
		}
	}
}

// TestReadTogether reads all messages from several goroutines at once.
func TestReadTogether(t *testing.T) {
	d := newDenseStore(t, 512<<10)
	defer d.e.Close()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for id, want := range d.letters {
				if got, err := enginetest.ReadBlob(d.e, id); err != nil || !bytes.Equal(got, want) {
					t.Errorf("blob %d: %d octets, want %d; %v", id, len(got), len(want), err)
				}
			}
		})
	}
	wg.Wait()
}

// TestDictionariesBounded: of many dictionaries those used last stay.
func TestDictionariesBounded(t *testing.T) {
	c := dictionaries{m: map[position]*usedDictionary{}}
	for i := range uint32(3 * dictionariesMax) {
		c.put(at(i, segmentHeader), &dictionary{octets: int(i)})
		if d := c.get(at(0, segmentHeader)); d == nil || d.octets != 0 {
			t.Fatalf("%d: the one that is used is gone", i)
		}
	}
	if len(c.m) != dictionariesMax {
		t.Errorf("%d dictionaries are kept", len(c.m))
	}
}

// TestReclaimDense: a segment whose blobs are all kept is not rewritten for its
// dictionary; one that holds a blob that was dropped is, and the dictionary with it.
func TestReclaimDense(t *testing.T) {
	d := newDenseStore(t, 8<<20)
	defer func() { d.e.Close() }()
	dense := func() (numbers []uint32) {
		for _, pos := range d.dictionaries(t) {
			numbers = append(numbers, pos.segment())
		}
		return slices.Compact(numbers)
	}
	if err := d.e.Reclaim(t.Context()); err != nil { // of what was the newest segment
		t.Fatal(err)
	}
	for range 2 {
		before := dense()
		if err := d.e.Reclaim(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after := dense(); len(before) == 0 || !slices.Equal(after, before) {
			t.Fatalf("dense segments %v, before %v", after, before)
		}
		d.reopen(t)
	}
	before := dense()
	if bad := d.unread(t); len(bad) > 0 { // where they are is known now, and wrong soon
		t.Fatal(bad)
	}
	var b engine.Batch
	for id := range d.letters {
		b.Drop(id)
		delete(d.letters, id)
		break
	}
	if _, err := enginetest.Space(t, d.e, 1).Commit(t.Context(), 1, &b); err != nil {
		t.Fatal(err)
	}
	if err := d.e.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := dense(); slices.Contains(after, before[0]) {
		t.Fatalf("dense segments %v, before %v", after, before)
	}
	if bad := d.unread(t); len(bad) > 0 {
		t.Fatal(bad)
	}
}

// TestLocations: what is found is of the blob that was looked for.
func TestLocations(t *testing.T) {
	var c locations
	if pos, ok := c.get(8); ok {
		t.Fatalf("%v of none", pos)
	}
	for i := range uint64(4 * locationsMax) {
		c.put(engine.BlobID(at(1, int64(8*i))), position(i))
	}
	kept := 0
	for i := range uint64(4 * locationsMax) {
		pos, ok := c.get(engine.BlobID(at(1, int64(8*i))))
		if ok && pos != position(i) {
			t.Fatalf("blob %d is at %d", i, pos)
		}
		if ok {
			kept++
		}
	}
	if kept < locationsMax/2 || kept > locationsMax {
		t.Errorf("%d locations are kept", kept)
	}
}

// TestDamagedDictionary: one of two is enough, and what is damaged is told. With
// both gone the messages of that segment alone are lost, and no wrong octet is given.
func TestDamagedDictionary(t *testing.T) {
	for _, c := range []struct {
		name   string
		copies []int
		offset int64 // in the record
	}{
		{"the first, its payload", []int{0}, recordHeader + 100},
		{"the first, its header", []int{0}, 8},
		{"the copy, its payload", []int{1}, recordHeader + 100},
		{"the copy, its header", []int{1}, 8},
		{"both, their payloads", []int{0, 1}, recordHeader + 100},
		{"both, their headers", []int{0, 1}, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDenseStore(t, 512<<10)
			defer func() { d.e.Close() }()
			places := d.dictionaries(t)[:2]
			for _, i := range c.copies {
				d.damage(t, places[i], c.offset)
			}
			d.reopen(t)
			bad := d.unread(t)
			for _, id := range bad {
				if where, err := d.e.place(d.e.index, id); err != nil || where.segment() != places[0].segment() {
					t.Errorf("a blob at %v cannot be read; %v", where, err)
				}
			}
			if both := len(c.copies) == 2; (len(bad) > 0) != both {
				t.Errorf("%d of %d messages cannot be read", len(bad), len(d.letters))
			}
			if (len(d.found) > 0) != slices.Contains(c.copies, 0) {
				t.Errorf("findings %v", d.found)
			}
			if damage := d.verify(t); len(damage) != len(c.copies) && c.name != "both, their headers" {
				t.Errorf("verify: %v", damage)
			}
			damaged, err := d.e.Damaged(t.Context(), noPace)
			if err != nil || len(damaged) != 1 || damaged[0].Segment != places[0].segment() {
				t.Fatal(damaged, err)
			}
			if err := d.e.Quarantine(context.Background(), []uint32{damaged[0].Segment}); err != nil {
				t.Fatal(err)
			}
			if damaged, err = d.e.Damaged(t.Context(), noPace); err != nil || len(damaged) != 0 || len(d.verify(t)) != 0 {
				t.Fatal(damaged, err)
			}
			for _, id := range bad {
				delete(d.letters, id)
			}
			d.reopen(t)
			if bad := d.unread(t); len(bad) > 0 {
				t.Errorf("after the repair: %v", bad)
			}
		})
	}
}

// denseBlob returns a letter with a dense frame, open.
func (d *denseStore) denseBlob(t *testing.T) (id engine.BlobID, b *blob) {
	t.Helper()
	for id := range d.letters {
		opened, err := d.e.Blobs().Open(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		if b := opened.(*blob); len(b.frames) == 1 && b.frames[0].coding != 0 {
			return id, b
		}
		opened.Close()
	}
	t.Fatal("nothing is dense")
	return 0, nil
}

// TestPiecesOfDenseFrame: who reads a frame in pieces, each with an open blob of
// its own, lets it be decoded once.
func TestPiecesOfDenseFrame(t *testing.T) {
	d := newDenseStore(t, 512<<10)
	defer d.e.Close()
	id, b := d.denseBlob(t)
	want := d.letters[id]
	frame := b.base + b.frames[0].at
	pos := at(b.file.number, 0)
	b.Close()
	read := func(from, n int) {
		t.Helper()
		b, err := d.e.Blobs().Open(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		got := make([]byte, n)
		if _, err := b.ReadAt(got, int64(from)); err != nil || !bytes.Equal(got, want[from:from+n]) {
			t.Fatalf("%d octets from %d: %q, %v", n, from, got, err)
		}
	}
	read(0, 100)
	d.damage(t, pos, frame) // nobody reads it again
	for from := 100; from < len(want)-100; from += 100 {
		read(from, 100)
	}
	read(len(want)-100, 100)
	if len(d.e.kept.all) != 0 {
		t.Error("a frame is kept whose end was read")
	}
	if _, err := enginetest.ReadBlob(d.e, id); !errs.Is(err, errs.Corrupt) {
		t.Errorf("read anew: %v", err)
	}
}

// TestKeptFramesBounded: of many frames of which a part was read the last ones stay.
func TestKeptFramesBounded(t *testing.T) {
	d := newDenseStore(t, 512<<10)
	defer d.e.Close()
	for id, want := range d.letters {
		for range 2 {
			b, err := d.e.Blobs().Open(t.Context(), id, 0)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 50)
			if _, err := b.ReadAt(got, 10); err != nil || !bytes.Equal(got, want[10:60]) {
				t.Fatalf("blob %d: %q, %v", id, got, err)
			}
			b.Close()
		}
	}
	if len(d.e.kept.all) != keptMax {
		t.Errorf("%d frames are kept", len(d.e.kept.all))
	}
}

// TestRawBesideDense: what was read of a raw frame stays right when the dense one
// behind it was read whole.
func TestRawBesideDense(t *testing.T) {
	d := newDenseStore(t, 512<<10)
	defer d.e.Close()
	for id, want := range d.letters {
		opened, err := d.e.Blobs().Open(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer opened.Close()
		b := opened.(*blob)
		if len(b.frames) != 2 || b.frames[0].coding != 0 || b.frames[1].coding == 0 {
			continue
		}
		for _, part := range [][2]int{{100, 50}, {frameOctets, len(want) - frameOctets}, {100, 50}} {
			got := make([]byte, part[1])
			if _, err := b.ReadAt(got, int64(part[0])); err != nil || !bytes.Equal(got, want[part[0]:part[0]+part[1]]) {
				t.Errorf("%d octets from %d: %v", part[1], part[0], err)
			}
		}
		return
	}
	t.Fatal("no message has a raw frame and a dense one")
}
