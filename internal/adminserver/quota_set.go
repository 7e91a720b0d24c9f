package adminserver

import (
	"context"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
)

// QuotaSet is the argument of "quota set". What it does not name stays.
type QuotaSet struct {
	Name   string       `json:"name"`
	Limits []QuotaLimit `json:"limits"`
	DryRun bool         `json:"dry_run,omitempty"`
}

// QuotaLimit is one of an account's own limits.
type QuotaLimit struct {
	Resource store.Resource `json:"resource"`
	Limit    *int64         `json:"limit,omitempty"` // octets or messages; -1: none; absent: as configured
}

// quotaSet changes the limits that an account has of its own.
func quotaSet(ctx context.Context, s *Service, a QuotaSet) (Quota, error) {
	name, err := s.qualify(a.Name)
	if err != nil {
		return Quota{}, err
	}
	for _, l := range a.Limits {
		if int(l.Resource) >= len(store.Resources) || l.Limit != nil && *l.Limit < -1 {
			return Quota{}, errs.New("adminserver.quotaSet", errs.Invalid, "a limit is negative, or of something unknown; nothing was changed")
		}
	}
	if !a.DryRun {
		if err := s.Store.EditQuota(ctx, name, a.change); err != nil {
			return Quota{}, err
		}
	}
	info, err := s.Store.AccountInfo(ctx, name)
	if err != nil {
		return Quota{}, err
	}
	a.change(&info.Quota)
	return s.quotaOf(ctx, info)
}

func (a *QuotaSet) change(q *store.Quota) {
	for _, l := range a.Limits {
		if l.Limit == nil {
			q.Clear(l.Resource)
		} else {
			q.Set(l.Resource, *l.Limit)
		}
	}
}
