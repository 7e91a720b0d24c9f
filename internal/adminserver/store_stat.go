package adminserver

import "context"

// StoreStat is the result of "store stat".
type StoreStat struct {
	Accounts int   `json:"accounts"`
	Deleted  int   `json:"deleted"` // accounts that can be restored
	Messages int64 `json:"messages"`
	Octets   int64 `json:"octets"` // of messages in mailboxes
	Engine   any   `json:"engine"`
}

// storeStat counts what the store holds.
func storeStat(ctx context.Context, s *Service, _ struct{}) (r StoreStat, err error) {
	for info := range s.Store.AccountInfos(ctx) {
		messages, octets, err := s.Store.Usage(ctx, info.ID)
		if err != nil {
			return r, err
		}
		r.Accounts++
		r.Messages += messages
		r.Octets += octets
	}
	gone, err := s.Store.GoneAccounts()
	r.Deleted, r.Engine = len(gone), s.Stats()
	return r, err
}
