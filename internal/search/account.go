package search

import (
	"cmp"
	"io/fs"
	"runtime"
	"slices"

	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
)

// accountIndex is what is in memory of one account's index.
type accountIndex struct {
	file   *indexFile
	end    int64
	blocks []*block
	// runs are the messages of all blocks, each run sorted and at least twice as long as
	// the next one. So a block is added without copying all that are there, and
	// there are few runs to look into.
	runs [][]doc
}

// doc is a message and where it is in the index.
type doc struct {
	docKey
	block uint32
	n     uint32
}

func (k docKey) compare(other docKey) int {
	return cmp.Or(cmp.Compare(k.blob, other.blob), cmp.Compare(k.size, other.size))
}

func byKey(a, b doc) int { return a.compare(b.docKey) }

// indexFile is closed when nobody searches in it any more.
type indexFile struct{ vfs.File }

func newIndexFile(f vfs.File) *indexFile {
	x := &indexFile{f}
	runtime.AddCleanup(x, func(f vfs.File) { f.Close() }, f)
	return x
}

// readAccount reads what is in an account's file, up to a block that was being written
// when the server ended.
func readAccount(f *indexFile) (*accountIndex, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, fs.ErrNotExist
	}
	a := &accountIndex{file: f}
	var keys [][]docKey
	total := 0
	for a.end < size {
		b, docs, end, err := readBlock(f, a.end)
		if err != nil || end > size {
			break
		}
		a.blocks, a.end = append(a.blocks, b), end
		keys, total = append(keys, docs), total+len(docs)
	}
	if a.end == 0 {
		return nil, errBlock
	}
	run := make([]doc, 0, total)
	for i, docs := range keys {
		run = appendDocs(run, uint32(i), docs)
	}
	slices.SortFunc(run, byKey)
	a.runs = [][]doc{run}
	return a, nil
}

// appendDocs appends the messages of a block.
func appendDocs(run []doc, block uint32, docs []docKey) []doc {
	for i, key := range docs {
		run = append(run, doc{key, block, uint32(i)})
	}
	return run
}

// with returns the index with one more block.
func (a *accountIndex) with(b *block, docs []docKey, end int64) *accountIndex {
	next := &accountIndex{file: a.file, end: end, blocks: append(slices.Clone(a.blocks), b), runs: slices.Clone(a.runs)}
	run := appendDocs(nil, uint32(len(a.blocks)), docs)
	slices.SortFunc(run, byKey)
	for n := len(next.runs); n > 0 && len(next.runs[n-1]) < 2*len(run); n-- {
		run = merge(next.runs[n-1], run)
		next.runs = next.runs[:n-1]
	}
	next.runs = append(next.runs, run)
	return next
}

// merge returns two runs as one.
func merge(a, b []doc) []doc {
	run := make([]doc, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if byKey(b[0], a[0]) < 0 {
			a, b = b, a
		}
		run, a = append(run, a[0]), a[1:]
	}
	return append(append(run, a...), b...)
}

// len returns how many messages the index knows.
func (a *accountIndex) len() (n int) {
	for _, run := range a.runs {
		n += len(run)
	}
	return n
}

// each calls fn for each message of a list with where it is in the index, nil
// where it is not. Neighbours in the list are mostly neighbours in the index.
func (a *accountIndex) each(list *store.MessageList, fn func(i int, m *store.Message, d *doc)) {
	var rest []doc // of a run, from the message before on
	for i, m := range list.Range(0, list.Len()) {
		key := keyOf(m)
		for n := 0; n < 16 && len(rest) > 0 && rest[0].blob < key.blob; n++ {
			rest = rest[1:]
		}
		if len(rest) == 0 || rest[0].docKey != key {
			rest = a.find(key)
		}
		if len(rest) > 0 {
			fn(i, m, &rest[0])
		} else {
			fn(i, m, nil)
		}
	}
}

// find returns the rest of the run that a message is in, from there on, nil where it is in
// none.
func (a *accountIndex) find(key docKey) []doc {
	for _, run := range a.runs {
		if run[len(run)-1].compare(key) < 0 {
			continue // as for new mail
		}
		if at, ok := slices.BinarySearchFunc(run, key, func(d doc, key docKey) int { return d.compare(key) }); ok {
			return run[at:]
		}
	}
	return nil
}

// docBitmap has a bit for each message of a block.
type docBitmap = [blockDocs / 64]uint64

// lookUp returns for each block the messages that have all trigrams of a text.
func (a *accountIndex) lookUp(needle []byte) (have []docBitmap, err error) {
	grams := gramsOf(needle)
	have = make([]docBitmap, len(a.blocks))
	var buf []byte
	for i, b := range a.blocks {
		for j := range have[i] {
			have[i][j] = ^uint64(0)
		}
		for _, gram := range grams {
			var left bool
			if left, buf, err = b.lookUp(gram, &have[i], buf); err != nil {
				return nil, err
			}
			if !left {
				break
			}
		}
	}
	return have, nil
}

// gramsMax is how many trigrams of a text are looked up: more rule out little.
const gramsMax = 12

// gramsOf returns trigrams of a text, spread over it, each once.
func gramsOf(needle []byte) (grams []uint32) {
	n := len(needle) - gramOctets + 1
	step := max(1, n/gramsMax)
	for i := 0; i < n; i += step {
		grams = append(grams, uint32(needle[i])<<16|uint32(needle[i+1])<<8|uint32(needle[i+2]))
	}
	slices.Sort(grams)
	return slices.Compact(grams)
}
