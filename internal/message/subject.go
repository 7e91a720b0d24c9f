package message

import "strings"

// BaseSubject returns what RFC 5256 §2.1 leaves of a subject whose encoded
// words are decoded, and whether the subject is that of a reply or forward.
// Linear in the length of s.
func BaseSubject(s string) (base string, reply bool) {
	if strings.ContainsAny(s, "\t\r\n") || strings.Contains(s, "  ") {
		s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }), " ")
	}
	for {
		s = trimTrailers(s, &reply)
		s = trimPrefixes(s, &reply)
		inner, ok := forwarded(s)
		if !ok {
			return s, reply
		}
		s, reply = inner, true
	}
}

// trimTrailers is step 2.
func trimTrailers(s string, reply *bool) string {
	for {
		s = strings.TrimRight(s, " ")
		if !hasSuffixFold(s, "(fwd)") {
			return s
		}
		s, *reply = s[:len(s)-len("(fwd)")], true
	}
}

// trimPrefixes is steps 3 to 5.
func trimPrefixes(s string, reply *bool) string {
	for {
		s = strings.TrimLeft(s, " ")
		rest, ok := cutRefwd(s)
		if !ok {
			break
		}
		s, *reply = rest, true
	}
	// There is no "re:" behind these blobs, so that all of them go.
	for {
		rest, ok := cutBlob(s)
		if !ok || rest == "" {
			return s
		}
		s = rest
	}
}

// cutRefwd removes blobs and "re:", "fw:" or "fwd:" (subj-leader).
func cutRefwd(s string) (string, bool) {
	for rest, ok := cutBlob(s); ok; rest, ok = cutBlob(s) {
		s = rest
	}
	switch {
	case hasPrefixFold(s, "fwd"):
		s = s[3:]
	case hasPrefixFold(s, "re"), hasPrefixFold(s, "fw"):
		s = s[2:]
	default:
		return "", false
	}
	s = strings.TrimLeft(s, " ")
	if rest, ok := cutBlob(s); ok {
		s = rest
	}
	return strings.CutPrefix(s, ":")
}

// cutBlob removes text in brackets and the spaces behind it (subj-blob).
func cutBlob(s string) (string, bool) {
	if !strings.HasPrefix(s, "[") {
		return "", false
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] != ']' {
		return "", false
	}
	return strings.TrimLeft(s[end+2:], " "), true
}

// forwarded is step 6.
func forwarded(s string) (string, bool) {
	if !hasPrefixFold(s, "[fwd:") || !strings.HasSuffix(s, "]") {
		return "", false
	}
	return s[len("[fwd:") : len(s)-1], true
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func hasSuffixFold(s, suffix string) bool {
	return len(s) >= len(suffix) && strings.EqualFold(s[len(s)-len(suffix):], suffix)
}
