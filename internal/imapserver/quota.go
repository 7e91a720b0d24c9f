package imapserver

import (
	"strconv"

	"github.com/angarium/angarium/internal/imapwire"
	"github.com/angarium/angarium/internal/store"
)

// quotaResources holds the capability of each resource (RFC 9208 §3.1.1).
var quotaResources = [...]string{store.Storage: "QUOTA=RES-STORAGE", store.MessageCount: "QUOTA=RES-MESSAGE"}

// quotaList returns an account's use and limits in the form of the QUOTA
// response (RFC 9208 §4.2.1), without the parentheses. It is empty where nothing
// is limited; then the account has no quota root, since §7 knows no empty list.
func (s *session) quotaList(x sight) (b []byte) {
	held, quota := x.Held(), x.acct.Quota()
	for _, r := range store.Resources {
		limit := quota.Limit(r)
		if limit == store.NoLimit || !s.offers(quotaResources[r]) {
			continue
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(append(b, r.String()...), ' ')
		b = append(strconv.AppendInt(b, inUnits(r, held[r]), 10), ' ')
		b = strconv.AppendInt(b, inUnits(r, limit), 10)
	}
	return b
}

// tellQuota sends the QUOTA response for an account's only quota root, which is
// called like the account.
func (s *session) tellQuota(root string, list []byte) {
	b := append(imapwire.AppendString([]byte("* QUOTA "), root), " ("...)
	s.conn.Write(append(append(b, list...), ")\r\n"...))
}

// inUnits returns an amount as IMAP counts the resource: STORAGE in units of 1024
// octets (RFC 9208 §5.1), rounded up, use and limit alike.
func inUnits(r store.Resource, n int64) int64 {
	if r == store.Storage {
		return n/1024 + min(n%1024, 1)
	}
	return n
}
