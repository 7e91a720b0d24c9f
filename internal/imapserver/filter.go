package imapserver

import (
	"context"
	"strings"

	"github.com/angarium/angarium/internal/errs"
	"github.com/angarium/angarium/internal/imapwire"
)

// filterPasses is how deep filters may refer to filters (RFC 5466 §3.1).
const filterPasses = 5

// expand puts the search that a filter stands for in the place of each FILTER
// key, and finds the messages of labels.
func (s *session) expand(ctx context.Context, key *imapwire.SearchKey, charset string, depth int) error {
	for _, k := range key.Keys {
		if err := s.expand(ctx, k, charset, depth); err != nil {
			return err
		}
	}
	switch key.Op {
	case imapwire.SearchFilter:
	case imapwire.SearchLabel:
		return s.expandLabel(ctx, key)
	default:
		return nil
	}
	if charset != "" && !strings.EqualFold(charset, "UTF-8") && !strings.EqualFold(charset, "US-ASCII") {
		return s.dec.Fail("[BADCHARSET (UTF-8)] filters are in UTF-8")
	}
	undefined := &refusal{"UNDEFINED-FILTER " + codeText(key.Text), "there is no such filter"}
	if depth == filterPasses {
		return undefined
	}
	text, err := s.filter(ctx, strings.ToLower(key.Text))
	if errs.Is(err, errs.NotFound) {
		return undefined
	}
	if err != nil {
		return err
	}
	found, ok := imapwire.ParseSearch(text)
	if !ok {
		return undefined
	}
	if key.Fuzzy {
		found.SetFuzzy()
	}
	*key = *found
	return s.expand(ctx, key, "", depth+1)
}

// filter returns the search that is stored under a name.
func (s *session) filter(ctx context.Context, name string) (string, error) {
	text, err := s.own.acct.Metadata(ctx, 0, "/private/filters/values/"+name)
	return string(text), err
}
