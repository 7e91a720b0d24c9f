package export

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// linesFile holds what the format cannot say, beside the folders.
const linesFile = "angarium.jsonl"

// Maildir writes an account as Maildir++ into dir, which must not exist: INBOX
// in dir itself, the others in folders .Name.Sub. UIDs are in the files of
// Courier (courierimapuiddb) and of Dovecot (dovecot-uidlist), keywords in
// dovecot-keywords, subscriptions in both programs' files, and everything in
// angarium.jsonl.
func Maildir(ctx context.Context, s *store.Store, info store.AccountInfo, dir string, r *Result, done func(*Result)) error {
	t := &maildir{dir: dir}
	return files(ctx, s, info, dir, t, r, done, func(subscribed []string) error { return t.subscriptions(subscribed) })
}

// files writes an account into a new directory, with the file of lines.
func files(ctx context.Context, s *store.Store, info store.AccountInfo, dir string, t target, r *Result, done func(*Result), end func(subscribed []string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("%w; name a directory that is not there yet", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, linesFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	b := bufio.NewWriter(f)
	a := &accountWriter{ctx: ctx, s: s, lines: json.NewEncoder(b), target: t, r: r, done: done}
	acct, err := a.account(info)
	if err != nil {
		return err
	}
	v, err := acct.Snapshot()
	if err != nil {
		return err
	}
	if err := end(slices.Collect(v.Subscribed())); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

// maildir is the target of Maildir.
type maildir struct {
	dir      string // of the account
	folder   string
	keywords []string
	uids     []string // "UID name" of each message
	box      *store.Mailbox
}

// fileNameMax is the largest name of a file that any file system takes.
const fileNameMax = 255

// encodeLevels returns the levels of a mailbox's name in modified UTF-7 (RFC
// 3501 §5.1.3), with the dots in them encoded as well.
func encodeLevels(name string) []string {
	levels := strings.Split(name, string(mail.Separator))
	for i, l := range levels {
		levels[i] = strings.ReplaceAll(imapwire.EncodeUTF7(l), ".", "&AC4-")
	}
	return levels
}

// shorten cuts what is too long for a file's name, and tells it from others.
func shorten(name string, id store.MailboxID) string {
	if tail := fmt.Sprintf("-mailbox%d", id); len(name) > fileNameMax {
		return name[:fileNameMax-len(tail)] + tail
	}
	return name
}

// folderName is a mailbox's name in Maildir++: levels separated by dots.
func folderName(name string) string {
	if name == mail.Inbox {
		return ""
	}
	return "." + strings.Join(encodeLevels(name), ".")
}

func (t *maildir) mailbox(box *store.Mailbox, line *Mailbox) error {
	t.box, t.uids, t.keywords = box, nil, box.Keywords[:min(26, len(box.Keywords))]
	line.Folder = shorten(folderName(box.Name), box.ID)
	t.folder = filepath.Join(t.dir, line.Folder)
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(t.folder, sub), 0o700); err != nil {
			return err
		}
	}
	if line.Folder == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(t.folder, "maildirfolder"), nil, 0o600)
}

func (t *maildir) message(m *store.Message, octets io.Reader, line *Message) error {
	base := fmt.Sprintf("%d.M%dP%d.angarium,S=%d", m.InternalDate, m.UID, t.box.ID, m.Size)
	name := filepath.Join("cur", base+":2,"+t.flags(m.Flags))
	f, err := os.OpenFile(filepath.Join(t.folder, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, octets)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	at := time.Unix(m.InternalDate, 0)
	if err := os.Chtimes(f.Name(), at, at); err != nil {
		return err
	}
	line.File = filepath.Join(filepath.Base(t.folder), name)
	if t.folder == t.dir {
		line.File = name
	}
	t.uids = append(t.uids, fmt.Sprintf("%d %s", m.UID, base))
	return nil
}

// flags returns the letters of a file name, in order: keywords are a to z.
func (t *maildir) flags(f mail.Flags) string {
	var letters []byte
	for _, x := range []struct {
		flag   mail.SystemFlags
		letter byte
	}{{mail.Draft, 'D'}, {mail.Flagged, 'F'}, {mail.Answered, 'R'}, {mail.Seen, 'S'}, {mail.Deleted, 'T'}} {
		if f.Has(x.flag) {
			letters = append(letters, x.letter)
		}
	}
	for _, k := range f.Keywords() {
		if i := slices.Index(t.keywords, k); i >= 0 {
			letters = append(letters, byte('a'+i))
		}
	}
	slices.Sort(letters)
	return string(letters)
}

func (t *maildir) end() error {
	var courier, dovecot, keywords strings.Builder
	fmt.Fprintf(&courier, "1 %d %d\n", t.box.UIDValidity, t.box.UIDNext)
	fmt.Fprintf(&dovecot, "3 V%d N%d\n", t.box.UIDValidity, t.box.UIDNext)
	for _, line := range t.uids {
		uid, base, _ := strings.Cut(line, " ")
		fmt.Fprintf(&courier, "%s %s\n", uid, base)
		fmt.Fprintf(&dovecot, "%s :%s\n", uid, base)
	}
	for i, k := range t.keywords {
		fmt.Fprintf(&keywords, "%d %s\n", i, k)
	}
	for name, text := range map[string]string{"courierimapuiddb": courier.String(), "dovecot-uidlist": dovecot.String(), "dovecot-keywords": keywords.String()} {
		if err := os.WriteFile(filepath.Join(t.folder, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (t *maildir) subscriptions(names []string) error {
	var courier, dovecot strings.Builder
	for _, name := range names {
		fmt.Fprintf(&courier, "INBOX%s\n", folderName(name))
		fmt.Fprintf(&dovecot, "%s\n", strings.TrimPrefix(cmp.Or(folderName(name), mail.Inbox), "."))
	}
	if err := os.WriteFile(filepath.Join(t.dir, "courierimapsubscribed"), []byte(courier.String()), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(t.dir, "subscriptions"), []byte(dovecot.String()), 0o600)
}
