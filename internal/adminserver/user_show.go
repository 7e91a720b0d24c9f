package adminserver

import (
	"context"
	"time"

	"github.com/angarium/angarium/internal/store"
)

// UserDetails is the result of "user show".
type UserDetails struct {
	User
	Messages  int64     `json:"messages"`
	Octets    int64     `json:"octets"`
	Mailboxes []Mailbox `json:"mailboxes"`
	Devices   []Device  `json:"devices,omitempty"`
}

// Device is one of Apple's that is told of new messages.
type Device struct {
	Device    string    `json:"device"` // the first octets of its token
	Renewed   time.Time `json:"renewed"`
	Mailboxes []string  `json:"mailboxes"`
}

// Mailbox is one mailbox of an account.
type Mailbox struct {
	Name     string `json:"name"`
	Messages uint32 `json:"messages"`
	Unseen   uint32 `json:"unseen"`
	Octets   int64  `json:"octets"`
}

// userShow tells what an account holds.
func userShow(ctx context.Context, s *Service, a UserName) (UserDetails, error) {
	name, err := s.qualify(a.Name)
	if err != nil {
		return UserDetails{}, err
	}
	info, v, err := s.snapshot(ctx, name)
	if err != nil {
		return UserDetails{}, err
	}
	d := UserDetails{User: User{info.Name, info.Created}}
	d.Messages, d.Octets = v.Usage()
	for box := range v.Mailboxes() {
		d.Mailboxes = append(d.Mailboxes, Mailbox{box.Name, box.Messages, box.Unseen, box.Size})
	}
	for _, p := range v.Pushes() {
		device := Device{Device: p.Short(), Renewed: p.Renewed}
		for _, id := range p.Mailboxes {
			if box, err := v.MailboxByID(id); err == nil {
				device.Mailboxes = append(device.Mailboxes, box.Name)
			}
		}
		d.Devices = append(d.Devices, device)
	}
	return d, nil
}

// account opens an account by its canonical name.
func (s *Service) account(ctx context.Context, name string) (store.AccountInfo, *store.Account, error) {
	info, err := s.Store.AccountInfo(ctx, name)
	if err != nil {
		return info, nil, err
	}
	acct, err := s.Store.Account(ctx, info.ID)
	return info, acct, err
}

// snapshot is the account as it is now.
func (s *Service) snapshot(ctx context.Context, name string) (store.AccountInfo, *store.Snapshot, error) {
	info, acct, err := s.account(ctx, name)
	if err != nil {
		return info, nil, err
	}
	v, err := acct.Snapshot()
	return info, v, err
}
