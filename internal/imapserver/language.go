package imapserver

import (
	"context"
	"path"
	"strings"

	"github.com/angarium/angarium/internal/imapwire"
)

// parseWords reads the arguments of LANGUAGE and COMPARATOR.
func parseWords(d *imapwire.Decoder) (words []string) {
	for d.Take(' ') {
		words = append(words, strings.ToLower(d.AString()))
		if len(words) > patternsMax {
			d.Fail("too many arguments")
		}
	}
	return words
}

// parseLanguage is LANGUAGE (RFC 5255 §3.2): all texts are English.
func parseLanguage(s *session, d *imapwire.Decoder) request {
	ranges := parseWords(d)
	return func(_ context.Context, s *session) error {
		if len(ranges) == 0 {
			s.line("* LANGUAGE (EN i-default)")
			return nil
		}
		for _, r := range ranges {
			switch primary, _, _ := strings.Cut(r, "-"); {
			case r == "i-default":
				s.line("* LANGUAGE (i-default)")
				return nil
			case primary == "en", r == "default", r == "*":
				s.line("* LANGUAGE (EN)")
				return nil
			}
		}
		return &refusal{"", "no text is in this language"}
	}
}

// comparatorName is the only collation (RFC 5051).
const comparatorName = "i;unicode-casemap"

// parseComparator is COMPARATOR (RFC 5255 §4.7).
func parseComparator(s *session, d *imapwire.Decoder) request {
	orders := parseWords(d)
	return func(_ context.Context, s *session) error {
		match := len(orders) == 0
		for _, o := range orders {
			ok, err := path.Match(o, comparatorName)
			match = match || o == "default" || ok && err == nil
		}
		if !match {
			return &refusal{"BADCOMPARATOR", "there is no such comparator"}
		}
		s.line("* COMPARATOR " + comparatorName)
		return nil
	}
}
