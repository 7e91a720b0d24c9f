package export

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// Mbox writes an account into dir, which must not exist: a file for each
// mailbox, Name.mbox, in folders for the levels above it. Lines of messages
// that begin with From, after any number of >, get one > more (mboxrd, RFC 4155
// Appendix A calls it quoting); line ends become LF. UID, flags and keywords are
// in fields before the message's own: X-IMAPbase, X-UID, Status, X-Status,
// X-Keywords.
func Mbox(ctx context.Context, s *store.Store, info store.AccountInfo, dir string, r *Result, done func(*Result)) error {
	t := &mbox{dir: dir}
	defer t.end()
	return files(ctx, s, info, dir, t, r, done, func([]string) error { return nil })
}

// mbox is the target of Mbox.
type mbox struct {
	dir   string
	box   *store.Mailbox
	first bool // no message was written yet
	file  *os.File
	w     *bufio.Writer
}

func (t *mbox) mailbox(box *store.Mailbox, line *Mailbox) (err error) {
	levels := encodeLevels(box.Name)
	levels[len(levels)-1] += ".mbox"
	for i := range levels {
		levels[i] = shorten(levels[i], box.ID)
	}
	line.Folder = filepath.Join(levels...)
	name := filepath.Join(t.dir, line.Folder)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if t.file, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return err
	}
	t.box, t.first, t.w = box, true, bufio.NewWriterSize(t.file, 64<<10)
	return nil
}

func (t *mbox) message(m *store.Message, octets io.Reader, line *Message) error {
	// A message that cannot be read whole leaves nothing: it is read first.
	b, err := io.ReadAll(octets)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.w, "From MAILER-DAEMON %s\n", time.Unix(m.InternalDate, 0).UTC().Format("Mon Jan _2 15:04:05 2006"))
	if t.first {
		t.first = false
		fmt.Fprintf(t.w, "X-IMAPbase: %d %d %s\n", t.box.UIDValidity, t.box.UIDNext-1, strings.Join(t.box.Keywords, " "))
	}
	fmt.Fprintf(t.w, "X-UID: %d\nStatus: %sO\nX-Status: %s\nX-Keywords: %s\n", m.UID, letter(m, mail.Seen, "R"),
		letter(m, mail.Answered, "A")+letter(m, mail.Flagged, "F")+letter(m, mail.Draft, "T")+letter(m, mail.Deleted, "D"),
		strings.Join(m.Flags.Keywords(), " "))
	line.File = strings.TrimPrefix(t.file.Name(), t.dir+string(filepath.Separator))
	for l := range bytes.Lines(b) {
		l = bytes.TrimSuffix(bytes.TrimSuffix(l, []byte("\n")), []byte("\r"))
		if bytes.HasPrefix(bytes.TrimLeft(l, ">"), []byte("From ")) {
			t.w.WriteByte('>')
		}
		t.w.Write(l)
		t.w.WriteByte('\n')
	}
	return t.w.WriteByte('\n')
}

func letter(m *store.Message, f mail.SystemFlags, s string) string {
	if m.Flags.Has(f) {
		return s
	}
	return ""
}

func (t *mbox) end() error {
	if t.file == nil {
		return nil
	}
	err := t.w.Flush()
	if cerr := t.file.Close(); err == nil {
		err = cerr
	}
	t.file = nil
	return err
}
