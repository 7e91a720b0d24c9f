// Package warm has files of what a server would otherwise make again after a restart.
// They are written when it stops in order and read, once, at the next start.
//
// What they hold must stay true whatever comes into the store: octets of a blob never
// change, and ids are never used again. That is so unless the store was put back to an
// earlier time. Therefore each stop has a Note, which the files and the engine's index
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

// File says where one is. With an empty name nothing is kept.
type File struct {
	FS   vfs.FS
	Name string
}

// Note names a stop. It is short.
type Note []byte

// NewNote returns one that there was never before.
func NewNote() Note {
	n := make(Note, noteOctets)
	rand.Read(n)
	return n
}

const (
	magic      = "ANGWARM1"
	noteOctets = 16
	headOctets = 8 // of a block: how many octets follow, and their CRC-32C
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// first is what is in the first block. version is another one whenever the program
// would make other blocks of the same mail.
func first(n Note, version uint64) []byte {
	return binary.LittleEndian.AppendUint64(append([]byte(magic), n...), version)
}

// Save writes blocks, none of them empty. Where that fails, those that were written
// are still good.
func (f File) Save(n Note, version uint64, blocks iter.Seq[[]byte]) error {
	if f.Name == "" {
		return nil
	}
	if err := f.FS.MkdirAll(path.Dir(f.Name)); err != nil {
		return err
	}
	if err := f.FS.RemoveAll(f.Name); err != nil {
		return err
	}
	file, err := f.FS.Create(f.Name)
	if err != nil {
		return err
	}
	defer file.Close()
	w := writer{file: file}
	w.put(first(n, version))
	for b := range blocks {
		if w.put(b); w.err != nil {
			break
		}
	}
	return w.err
}

// writer writes blocks until one fails.
type writer struct {
	file vfs.File
	at   int64
	err  error
}

func (w *writer) put(b []byte) {
	if w.err != nil {
		return
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(b)))
	head = binary.LittleEndian.AppendUint32(head, crc32.Checksum(b, castagnoli))
	if _, w.err = w.file.WriteAt(append(head, b...), w.at); w.err == nil {
		w.at += int64(len(head) + len(b))
	}
}

// Load yields the blocks of the stop that n names and of a version, and removes the
// file. The blocks may be kept.
func (f File) Load(n Note, version uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if f.Name == "" {
			return
		}
		file, err := f.FS.Open(f.Name)
		if err != nil {
			return
		}
		defer f.FS.Remove(f.Name)
		defer file.Close()
		size, err := file.Size()
		if err != nil || len(n) != noteOctets {
			return
		}
		r := reader{file: file, size: size}
		if !bytes.Equal(r.next(), first(n, version)) {
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
