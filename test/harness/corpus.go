package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// Message is one test message.
type Message struct {
	Name   string // path in the corpus
	Octets []byte
}

// Corpus reads the messages of the test corpus, which lies beside the checkout,
// in ../shared/corpus, or where ANGARIUM_CORPUS says. It is fs.ErrNotExist where
// there is none.
func Corpus() ([]Message, error) {
	dir := os.Getenv("ANGARIUM_CORPUS")
	if dir == "" {
		root, err := moduleRoot()
		if err != nil {
			return nil, err
		}
		dir = filepath.Join(root, "..", "shared", "corpus")
	}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("the message corpus is not in %s: %w", dir, err)
	}
	return readCorpus(dir)
}

// TestCorpus is Corpus for tests: it skips where there is none, except where
// nothing may be missing.
func TestCorpus(t interface {
	Helper()
	Skip(...any)
	Fatal(...any)
}) []Message {
	t.Helper()
	messages, err := Corpus()
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("ANGARIUM_TEST_REQUIRE") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// notMessages are the files that describe the corpus or are another program's
// reading of a message.
var notMessages = map[string]bool{".md": true, ".xml": true, ".json": true, ".out": true, ".txt": false, ".ent": true}

func readCorpus(dir string) (all []Message, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		if err != nil || d.IsDir() || notMessages[filepath.Ext(name)] || strings.HasPrefix(name, "LICENSE") || strings.HasPrefix(name, "NOTICE") || strings.HasPrefix(name, ".") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if len(b) > 0 {
			all = append(all, Message{rel, b})
		}
		return err
	})
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, err
}
