package adminserver

import (
	"cmp"
	"context"
	"slices"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/store"
)

// Quota is what an account holds and may hold.
type Quota struct {
	Name     string `json:"name"`
	Storage  Use    `json:"storage"` // octets
	Messages Use    `json:"messages"`
}

// Use is how much there is of a resource.
type Use struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"` // -1: none
	Own   bool  `json:"own"`   // the limit is the account's own, not what is configured
}

// quotaList returns all accounts, those that hold most octets first.
func quotaList(ctx context.Context, s *Service, _ struct{}) ([]Quota, error) {
	all := []Quota{}
	for info := range s.Store.AccountInfos(ctx) {
		q, err := s.quotaOf(ctx, info)
		if errs.Is(err, errs.NotFound) { // deleted meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, q)
	}
	slices.SortFunc(all, func(a, b Quota) int {
		return cmp.Or(cmp.Compare(b.Storage.Used, a.Storage.Used), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

func (s *Service) quotaOf(ctx context.Context, info store.AccountInfo) (Quota, error) {
	messages, octets, err := s.Store.Usage(ctx, info.ID)
	if err != nil {
		return Quota{}, err
	}
	limits := s.Store.QuotaOf(info)
	use := func(r store.Resource, held int64) Use {
		u := Use{held, limits.Limit(r), info.Quota.Says(r)}
		if u.Limit == store.NoLimit {
			u.Limit = -1
		}
		return u
	}
	return Quota{info.Name, use(store.Storage, int64(octets)), use(store.MessageCount, messages)}, nil
}
