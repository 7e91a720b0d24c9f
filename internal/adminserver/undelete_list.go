package adminserver

import (
	"context"
	"time"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/mail"
	"github.com/angarium/angarium/internal/message"
	"github.com/angarium/angarium/internal/store"
)

// Selection says which expunged messages of an account are meant.
type Selection struct {
	Name    string    `json:"name"`              // of the account
	Mailbox string    `json:"mailbox,omitempty"` // this one and those below it
	UIDs    string    `json:"uids,omitempty"`    // that they had, as in IMAP
	Since   time.Time `json:"since,omitzero"`    // when they were expunged
	Until   time.Time `json:"until,omitzero"`
}

// Buried is what can be restored.
type Buried struct {
	Accounts  []BuriedAccount `json:"accounts,omitempty"` // when no account was named
	Mailboxes []BuriedMailbox `json:"mailboxes,omitempty"`
	Messages  []BuriedMessage `json:"messages,omitempty"`
	Octets    int64           `json:"octets"`
	Damaged   int             `json:"damaged,omitempty"` // records that cannot be read
}

// BuriedAccount is a deleted account.
type BuriedAccount struct {
	Name    string    `json:"name"`
	Deleted time.Time `json:"deleted"`
}

// BuriedMailbox is a deleted mailbox.
type BuriedMailbox = BuriedAccount

// BuriedMessage is an expunged message.
type BuriedMessage struct {
	Mailbox  string    `json:"mailbox"`
	UID      mail.UID  `json:"uid"`
	Expunged time.Time `json:"expunged"`
	Date     time.Time `json:"date"` // internal date
	Octets   int64     `json:"octets"`
	Flags    string    `json:"flags,omitempty"`
	Subject  string    `json:"subject,omitempty"`
	From     string    `json:"from,omitempty"`
}

// undeleteList tells what can be restored.
func undeleteList(ctx context.Context, s *Service, a Selection) (b Buried, err error) {
	if a.Name == "" {
		gone, err := s.Store.GoneAccounts()
		for _, g := range gone {
			b.Accounts = append(b.Accounts, BuriedAccount{g.Name, g.Deleted})
		}
		return b, err
	}
	acct, sel, err := s.selection(ctx, a)
	if err != nil {
		return b, err
	}
	deleted, err := acct.DeletedMailboxes()
	if err != nil {
		return b, err
	}
	for _, d := range deleted {
		b.Mailboxes = append(b.Mailboxes, BuriedMailbox{d.Name, d.Deleted})
	}
	for m, err := range acct.Expunged(ctx, sel) {
		if errs.Is(err, errs.Corrupt) {
			b.Damaged++
			continue
		}
		if err != nil {
			return b, err
		}
		one := BuriedMessage{Mailbox: m.Mailbox, UID: m.UID, Expunged: m.At, Date: m.InternalTime(), Octets: m.Size, Flags: m.Flags.String()}
		if sum, err := s.Store.Summary(ctx, &m.Message); err == nil {
			one.Subject, one.From = describe(sum)
		}
		b.Messages = append(b.Messages, one)
		b.Octets += m.Size
	}
	return b, nil
}

// describe returns what tells a message from others.
func describe(sum *message.Summary) (subject, from string) {
	e := sum.Parts[0].Envelope
	if e == nil {
		return "", ""
	}
	if len(e.From) > 0 {
		from = e.From[0].Mailbox + "@" + e.From[0].Host
	}
	return message.DecodeHeader(e.Subject), from
}

// selection opens an account and reads which messages are meant.
func (s *Service) selection(ctx context.Context, a Selection) (acct *store.Account, sel store.Selection, err error) {
	name, err := s.qualify(a.Name)
	if err != nil {
		return nil, sel, err
	}
	info, err := s.Store.AccountInfo(ctx, name)
	if err != nil {
		return nil, sel, err
	}
	sel = store.Selection{Since: a.Since, Until: a.Until}
	if a.Mailbox != "" {
		if sel.Mailbox, err = mail.CanonicalMailbox(a.Mailbox); err != nil {
			return nil, sel, err
		}
	}
	if a.UIDs != "" {
		if sel.Mailbox == "" {
			return nil, sel, errs.New("adminserver.selection", errs.Invalid, "UIDs need a mailbox")
		}
		if sel.UIDs, err = mail.ParseUIDSet(a.UIDs); err != nil {
			return nil, sel, err
		}
	}
	acct, err = s.Store.Account(ctx, info.ID)
	return acct, sel, err
}
