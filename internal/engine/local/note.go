package local

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// SetNote leaves a note in the index for who opens the store next. It is durable with
// Close, and no part of the log: in a store that somebody puts back to an earlier time
// it is none, or that of then, and never one that was left later.
func (e *Engine) SetNote(note []byte) error {
	return indexError("local.SetNote", e.index.Set([]byte{keyNote}, note, pebble.NoSync))
}

// TakeNote returns the note and takes it away; nil where there is none.
func (e *Engine) TakeNote() []byte {
	v, c, err := e.index.Get([]byte{keyNote})
	if err != nil {
		return nil // it is of no use where the index cannot be read
	}
	defer c.Close()
	note := bytes.Clone(v)
	e.index.Delete([]byte{keyNote}, pebble.NoSync)
	return note
}
