package local

import (
	"bufio"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	pebblevfs "github.com/cockroachdb/pebble/v2/vfs"
)

// tables are what a large commit changes in the index, as tables that the index's
// library takes in whole. They are written before the commit's turn, and then it
// takes a few syncs, however many rows there are: of a batch the library makes a
// list while all other commits wait, 100 ms for a million messages (decision 0019).
//
// The mark is a table of its own, made when the commit's turn has come. It is taken
// in with the others at once, so that after a crash the index has all of the commit
// or nothing, and all that was before it: whatever is put into the index, the mark is put
// there with it or later, and the library takes in no table before what it overlaps with
// is on the disk.
type tables struct {
	e      *Engine
	number int64    // of the commit, in the names
	names  []string // of those that are there
	table  *sstable.Writer
	kind   byte  // first octet of the keys in table
	octets int64 // of keys and values in table
}

const (
	tableSuffix = ".table" // the index's library leaves such files alone

	// tableOctets is when the next table is begun. Each one costs the commit's turn
	// some reads, and compactions read and write them whole.
	tableOctets = 32 << 20

	// tableStep is how large the batch becomes from which a table is written, in one piece of
	// work: some 300 microseconds.
	tableStep = 32 << 10
	// tableBuffer is how much is written to a table at once.
	tableBuffer = 64 << 10
	// tableSync is after how many octets the disk is told to begin with them, so
	// that the sync of the log waits for few.
	tableSync = 512 << 10
)

func (e *Engine) newTables() *tables {
	return &tables{e: e, number: e.tablesMade.Add(1)}
}

// add moves the changes in a batch to the tables. Keys ascend, from one call to the
// next, too.
func (t *tables) add(batch *pebble.Batch) error {
	for r := batch.Reader(); ; {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return err
		}
		if err := t.begin(key); err != nil {
			return err
		}
		t.octets += int64(len(key) + len(value))
		switch kind {
		case pebble.InternalKeyKindSet:
			err = t.table.Set(key, value)
		case pebble.InternalKeyKindDelete:
			err = t.table.Delete(key)
		default:
			err = fmt.Errorf("a change of kind %d in a table", kind)
		}
		if err != nil {
			return err
		}
	}
}

// begin begins a table, when there is none that may take the key. Different kinds of keys
// do not share one: references change what is there, rows of a new mailbox do not, and
// a table that overlaps with no other one is never rewritten for others' sake.
func (t *tables) begin(key []byte) error {
	if t.table != nil && t.kind == key[0] && t.octets < t.e.opts.tableOctets {
		return nil
	}
	if err := t.end(); err != nil {
		return err
	}
	fs := t.e.opts.IndexFS
	name := path.Join(t.e.opts.IndexDir, fmt.Sprintf("%d-%d%s", t.number, len(t.names), tableSuffix))
	f, err := fs.Create(name, pebblevfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	t.names = append(t.names, name)
	f = pebblevfs.NewSyncingFile(f, pebblevfs.SyncingFileOptions{BytesPerSync: tableSync})
	format := t.e.index.FormatMajorVersion().MaxTableFormat()
	t.table = sstable.NewWriter(&tableFile{bufio.NewWriterSize(f, tableBuffer), f}, t.e.indexOptions.MakeWriterOptions(0, format))
	t.kind, t.octets = key[0], 0
	return nil
}

// end makes the table that is being written durable.
func (t *tables) end() error {
	if t.table == nil {
		return nil
	}
	table := t.table
	t.table = nil
	return table.Close()
}

// takeIn puts the tables into the index, with the mark that everything before end is
// in.
func (t *tables) takeIn(end position) error {
	batch := t.e.index.NewBatch()
	defer batch.Close()
	if err := errors.Join(setMark(batch, end), t.add(batch), t.end()); err != nil {
		return err
	}
	if err := t.e.index.Ingest(t.e.pace.ctx, t.names); err != nil {
		return err
	}
	t.names = nil // the library has removed them
	return nil
}

// drop removes what was not taken in.
func (t *tables) drop() {
	_ = t.end()
	for _, name := range t.names {
		_ = t.e.opts.IndexFS.Remove(name)
	}
	t.names = nil
}

// dropLeftTables removes what commits have left that a crash has ended.
func (e *Engine) dropLeftTables() error {
	names, err := e.opts.IndexFS.List(e.opts.IndexDir)
	if err != nil {
		return nil // there is no index
	}
	for _, name := range names {
		if strings.HasSuffix(name, tableSuffix) {
			if err := e.opts.IndexFS.Remove(path.Join(e.opts.IndexDir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// tableFile is where the index's library writes a table to.
type tableFile struct {
	*bufio.Writer
	file pebblevfs.File
}

func (f *tableFile) Write(b []byte) error {
	_, err := f.Writer.Write(b)
	return err
}

func (f *tableFile) Finish() error {
	return errors.Join(f.Flush(), f.file.Sync(), f.file.Close())
}

func (f *tableFile) Abort() { _ = f.file.Close() }
