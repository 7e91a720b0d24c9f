// Package export writes what accounts hold into files that other programs
// read: Maildir++ and mbox folders, and lines of JSON with everything that
// those cannot say. It reads a store and changes nothing in it.
package export

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/store"
)

// Account is the line of an account.
type Account struct {
	Account    string    `json:"account"`
	ID         uint64    `json:"id"`
	Created    time.Time `json:"created"`
	ModSeq     uint64    `json:"modseq"`
	Messages   int64     `json:"messages"`
	Octets     int64     `json:"octets"`
	Subscribed []string  `json:"subscribed,omitempty"`
	Metadata   []Entry   `json:"metadata,omitempty"`
}

// Mailbox is the line of a mailbox. The lines of its messages follow.
type Mailbox struct {
	Mailbox     string    `json:"mailbox"`
	ID          uint64    `json:"mailboxid"`
	NameOnly    bool      `json:"name_only,omitempty"`
	UIDValidity uint32    `json:"uidvalidity"`
	UIDNext     mail.UID  `json:"uidnext"`
	ModSeq      uint64    `json:"modseq"`
	Messages    uint32    `json:"messages"`
	Unseen      uint32    `json:"unseen"`
	Octets      int64     `json:"octets"`
	SpecialUse  []string  `json:"special_use,omitempty"`
	Keywords    []string  `json:"keywords,omitempty"`
	Created     time.Time `json:"created"`
	Metadata    []Entry   `json:"metadata,omitempty"`
	ACL         []Grant   `json:"acl,omitempty"`    // unless the owner alone has rights, which are all
	Folder      string    `json:"folder,omitempty"` // of the export
}

// Message is the line of a message.
type Message struct {
	UID          mail.UID     `json:"uid"`
	Expunged     time.Time    `json:"expunged,omitzero"` // when it was; then Mailbox says where
	Mailbox      string       `json:"mailbox,omitempty"`
	ModSeq       uint64       `json:"modseq"`
	Flags        string       `json:"flags,omitempty"` // as in IMAP
	InternalDate time.Time    `json:"internaldate"`
	SaveDate     time.Time    `json:"savedate"`
	Octets       int64        `json:"octets"`
	EmailID      uint64       `json:"emailid"`
	ThreadID     uint64       `json:"threadid"`
	Annotations  []Annotation `json:"annotations,omitempty"`
	SHA256       string       `json:"sha256,omitempty"`
	File         string       `json:"file,omitempty"`  // of the export
	Error        string       `json:"error,omitempty"` // why the octets are not there
}

// Entry is one of METADATA (RFC 5464). The value is any octets, in base64.
type Entry struct {
	Entry string `json:"entry"`
	Value []byte `json:"value"`
}

// Grant is an entry of an ACL (RFC 4314).
type Grant struct {
	Identifier string `json:"identifier"`
	Rights     string `json:"rights"`
}

// Annotation is an entry of a message's annotations (RFC 5257). Values are any
// octets, in base64.
type Annotation struct {
	Entry   string `json:"entry"`
	Private []byte `json:"private,omitzero"`
	Shared  []byte `json:"shared,omitzero"`
}

// Result counts what was written.
type Result struct {
	Accounts int   `json:"accounts"`
	Messages int   `json:"messages"`
	Octets   int64 `json:"octets"`
	Damaged  int   `json:"damaged"` // messages and mailboxes that cannot be read
}

// target takes the messages of one account.
type target interface {
	// mailbox begins a mailbox and fills in its folder.
	mailbox(box *store.Mailbox, line *Mailbox) error
	// message takes a message, and fills in where it is.
	message(m *store.Message, octets io.Reader, line *Message) error
	// end completes the mailbox.
	end() error
}

// accountWriter writes one account.
type accountWriter struct {
	ctx    context.Context
	s      *store.Store
	lines  *json.Encoder
	target target
	r      *Result
	done   func(*Result)
}

// Dump writes an account as lines of JSON, with a digest for each message, and
// with the expunged ones that can be restored. done is told the progress.
func Dump(ctx context.Context, s *store.Store, info store.AccountInfo, w io.Writer, r *Result, done func(*Result)) error {
	b := bufio.NewWriter(w)
	a := &accountWriter{ctx: ctx, s: s, lines: json.NewEncoder(b), target: digests{}, r: r, done: done}
	acct, err := a.account(info)
	if err != nil {
		return err
	}
	for m, err := range acct.Expunged(ctx, store.Selection{}) {
		if err != nil {
			r.Damaged++
			continue
		}
		line := messageLine(&m.Message)
		line.Expunged, line.Mailbox, line.Annotations = m.At.UTC(), m.Mailbox, annotationLines(m.Annotations)
		if err := a.message(&m.Message, line); err != nil {
			return err
		}
	}
	return b.Flush()
}

// digests is the target of Dump.
type digests struct{}

func (digests) mailbox(*store.Mailbox, *Mailbox) error { return nil }
func (digests) end() error                             { return nil }

func (digests) message(_ *store.Message, octets io.Reader, line *Message) error {
	h := sha256.New()
	if _, err := io.Copy(h, octets); err != nil {
		return err
	}
	line.SHA256 = fmt.Sprintf("%x", h.Sum(nil))
	return nil
}

func (a *accountWriter) account(info store.AccountInfo) (*store.Account, error) {
	acct, err := a.s.Account(a.ctx, info.ID)
	if err != nil {
		return nil, err
	}
	v, err := acct.Snapshot()
	if err != nil {
		return nil, err
	}
	line := Account{Account: info.Name, ID: uint64(info.ID), Created: info.Created.UTC(), ModSeq: uint64(v.ModSeq())}
	line.Messages, line.Octets = v.Usage()
	for name := range v.Subscribed() {
		line.Subscribed = append(line.Subscribed, name)
	}
	if line.Metadata, err = a.metadata(acct, v.Notes(0)); err != nil {
		return nil, err
	}
	if err := a.lines.Encode(line); err != nil {
		return nil, err
	}
	for box := range v.Mailboxes() {
		if err := a.mailbox(acct, v, box, info.Name); err != nil {
			return nil, fmt.Errorf("mailbox %q: %w", box.Name, err)
		}
	}
	a.r.Accounts++
	return acct, nil
}

func (a *accountWriter) mailbox(acct *store.Account, v *store.Snapshot, box *store.Mailbox, owner string) error {
	line := Mailbox{Mailbox: box.Name, ID: uint64(box.ID), NameOnly: box.NoSelect, UIDValidity: box.UIDValidity, UIDNext: box.UIDNext,
		ModSeq: uint64(box.ModSeq), Messages: box.Messages, Unseen: box.Unseen, Octets: box.Size, SpecialUse: box.SpecialUse.Names(),
		Keywords: box.Keywords, Created: box.Created.UTC()}
	var err error
	if line.Metadata, err = a.metadata(acct, v.Notes(box.ID)); err != nil {
		return err
	}
	if box.HasACL() {
		for _, g := range box.ACL() {
			line.ACL = append(line.ACL, Grant{store.IdentifierText(g.Identifier, owner), g.Rights.Letters()})
		}
	}
	if err := a.target.mailbox(box, &line); err != nil {
		return err
	}
	if err := a.lines.Encode(line); err != nil {
		return err
	}
	l, err := v.Messages(a.ctx, box.ID)
	if err != nil {
		if a.ctx.Err() != nil {
			return err
		}
		a.r.Damaged++
		return a.target.end()
	}
	for _, m := range l.Range(0, l.Len()) {
		line := messageLine(m)
		if line.Annotations, err = annotations(acct, box.ID, m.UID); err != nil {
			return err
		}
		if err := a.message(m, line); err != nil {
			return err
		}
	}
	return a.target.end()
}

// metadata returns those of the entries that can be read.
func (a *accountWriter) metadata(acct *store.Account, notes []store.Note) (out []Entry, err error) {
	for _, n := range notes {
		value, err := acct.Metadata(a.ctx, n.Mailbox, n.Entry)
		switch {
		case errs.Is(err, errs.Corrupt), errs.Is(err, errs.NotFound): // check reports it; or it was just removed
		case err != nil:
			return nil, err
		default:
			out = append(out, Entry{n.Entry, value})
		}
	}
	return out, nil
}

// annotations returns those of a message that can be read.
func annotations(acct *store.Account, mb store.MailboxID, uid mail.UID) ([]Annotation, error) {
	all, err := acct.Annotations(mb, uid)
	if errs.Is(err, errs.Corrupt) {
		return nil, nil // check reports it; the message is whole
	}
	return annotationLines(all), err
}

func annotationLines(all []store.Annotation) (out []Annotation) {
	for _, a := range all {
		if a.Exists() {
			out = append(out, Annotation{a.Entry, a.Private, a.Shared})
		}
	}
	return out
}

func messageLine(m *store.Message) *Message {
	return &Message{UID: m.UID, ModSeq: uint64(m.ModSeq), Flags: m.Flags.String(), InternalDate: m.InternalTime(),
		SaveDate: time.Unix(m.SaveDate, 0).UTC(), Octets: m.Size, EmailID: uint64(m.ID), ThreadID: uint64(m.Thread)}
}

// message writes one message. One that cannot be read gets a line that says so.
func (a *accountWriter) message(m *store.Message, line *Message) error {
	if err := a.ctx.Err(); err != nil {
		return err
	}
	body, err := a.s.Body(a.ctx, m)
	if err == nil {
		defer body.Close()
		source := &source{r: io.NewSectionReader(body, 0, body.Size())}
		if err = a.target.message(m, source, line); err != nil && source.err == nil {
			return err // of the target
		}
	}
	if err != nil {
		line.Error = err.Error()
		a.r.Damaged++
	} else {
		a.r.Messages++
		a.r.Octets += m.Size
	}
	a.done(a.r)
	return a.lines.Encode(line)
}

// source remembers that reading failed.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
