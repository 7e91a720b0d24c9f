// Package warm has files of what a server would otherwise make again after a restart.
// They are written when it stops in order and read, once, at the next start.
//
// What they hold must stay true whatever comes into the store: octets of a blob never
// change, and ids are never used again. That is so unless the store was put back to an
// earlier time. Therefore each stop has a note, which the files and the engine's index
// have, and nothing else: a file without the note of the last stop is of no use.
//
// Nothing needs these files, and nobody waits for them to be durable. One that is
// damaged ends where it is (decision 23, docs/format.md).
package warm

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"iter"
	"path"

	"github.com/angarium/angarium/internal/vfs"
)

// Folder holds the files. A nil Folder keeps nothing.
type Folder struct {
	fs         vfs.FS
	dir        string
	last, next []byte // the notes
	failed     func(err error)
}

// NewFolder returns that of a start, whose last stop left a note, or none. failed is told
// of files that cannot be saved.
func NewFolder(fsys vfs.FS, dir string, last []byte, failed func(err error)) *Folder {
	f := &Folder{fs: fsys, dir: dir, last: last, next: make([]byte, noteOctets), failed: failed}
	rand.Read(f.next)
	return f
}

// Note is that of the next stop, to be left when all is saved.
func (f *Folder) Note() []byte { return f.next }

const (
	magic      = "ANGWARM1"
	noteOctets = 16
	headOctets = 8 // of a block: how many octets follow, and their CRC-32C
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// first is what is in the first block. version is another one whenever the program
// would make other blocks of the same mail.
func first(note []byte, version uint64) []byte {
	return binary.LittleEndian.AppendUint64(append([]byte(magic), note...), version)
}

// Save writes blocks, none of them empty, into a file. Where that fails, those that
// were written are still good.
func (f *Folder) Save(name string, version uint64, blocks iter.Seq[[]byte]) {
	if f == nil {
		return
	}
	if err := f.save(path.Join(f.dir, name), version, blocks); err != nil {
		f.failed(err)
	}
}

func (f *Folder) save(name string, version uint64, blocks iter.Seq[[]byte]) error {
	if err := f.fs.MkdirAll(f.dir); err != nil {
		return err
	}
	if err := f.fs.RemoveAll(name); err != nil {
		return err
	}
	file, err := f.fs.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	w := writer{file: file}
	if err := w.put(first(f.next, version)); err != nil {
		return err
	}
	for b := range blocks {
		if err := w.put(b); err != nil {
			return err
		}
	}
	return nil
}

// writer writes blocks.
type writer struct {
	file vfs.File
	at   int64
}

func (w *writer) put(b []byte) error {
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(b, castagnoli))
	n, err := w.file.WriteAt(append(head, b...), w.at)
	w.at += int64(n)
	return err
}

// Load yields the blocks that were saved at the last stop, by a program of a version,
// and removes the file. The blocks may be kept.
func (f *Folder) Load(name string, version uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if f == nil {
			return
		}
		name := path.Join(f.dir, name)
		file, err := f.fs.Open(name)
		if err != nil {
			return
		}
		defer f.fs.Remove(name)
		defer file.Close()
		size, err := file.Size()
		if err != nil {
			return
		}
		r := reader{file: file, size: size}
		if !bytes.Equal(r.next(), first(f.last, version)) {
			return
		}
		for b := r.next(); b != nil; b = r.next() {
			if !yield(b) {
				return
			}
		}
	}
}

// reader reads blocks.
type reader struct {
	file     vfs.File
	at, size int64
}

// next returns the next block, nil when there is none, or it is damaged.
func (r *reader) next() []byte {
	var head [headOctets]byte
	if n, _ := r.file.ReadAt(head[:], r.at); n < len(head) {
		return nil
	}
	length := int64(binary.LittleEndian.Uint32(head[:]))
	if r.at += headOctets; length == 0 || length > r.size-r.at {
		return nil
	}
	b := make([]byte, length)
	if n, _ := r.file.ReadAt(b, r.at); n < len(b) || crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil
	}
	r.at += length
	return b
}
