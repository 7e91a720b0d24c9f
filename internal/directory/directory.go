// Package directory turns addresses into accounts.
package directory

import (
	"context"
	"strings"
	"sync/atomic"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
)

// Recipient is who an address belongs to.
type Recipient struct {
	Name    string // of the account
	Account store.AccountID
	Detail  string // what follows "+" in the local part (RFC 5233 §4)
}

// Directory is safe for concurrent use.
type Directory struct {
	store  *store.Store
	domain atomic.Pointer[string]
}

// New returns a directory. domain is that of names without one.
func New(s *store.Store, domain string) *Directory {
	d := &Directory{store: s}
	d.SetDefaultDomain(domain)
	return d
}

// SetDefaultDomain replaces the domain of names without one.
func (d *Directory) SetDefaultDomain(domain string) { d.domain.Store(&domain) }

// Qualify returns a name with the default domain, if it has none.
func (d *Directory) Qualify(name string) string { return Qualify(name, *d.domain.Load()) }

// Qualify returns a name with a domain, if it has none.
func Qualify(name, domain string) string {
	if strings.Contains(name, "@") {
		return name
	}
	return name + "@" + domain
}

// Find finds the account of a login name. Errors: NotFound.
func (d *Directory) Find(ctx context.Context, name string) (store.AccountInfo, error) {
	return d.store.AccountInfo(ctx, d.Qualify(name))
}

// Resolve finds the account that takes mail for an address: the exact name
// first, then without the detail. Errors: NotFound.
func (d *Directory) Resolve(ctx context.Context, address string) (Recipient, error) {
	address = d.Qualify(address)
	info, err := d.store.AccountInfo(ctx, address)
	detail := ""
	if errs.Is(err, errs.NotFound) {
		at := strings.LastIndexByte(address, '@')
		if plus := strings.IndexByte(address[:at], '+'); plus > 0 {
			detail = address[plus+1 : at]
			info, err = d.store.AccountInfo(ctx, address[:plus]+address[at:])
		}
	}
	if err != nil {
		return Recipient{}, errs.As("directory.Resolve", errs.KindOf(err), "no such user", err)
	}
	return Recipient{info.Name, info.ID, detail}, nil
}
