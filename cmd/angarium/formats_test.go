package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/angarium/angarium/internal/engine/local"
	"github.com/angarium/angarium/internal/store"
	"github.com/angarium/angarium/internal/vfs"
	"github.com/angarium/angarium/test/harness"
)

// copyTree copies the files of a fixture into a data directory of its own.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFormats opens a store of each format that there ever was (test/fixture
// made them, with the program of the time), compares what it holds, finds what
// is damaged, serves and repairs it. A format never changes after its fixture:
// a new one gets a new number.
func TestFormats(t *testing.T) {
	fixtures, err := filepath.Glob("testdata/stores/*")
	if err != nil || len(fixtures) == 0 {
		t.Fatal(fixtures, err)
	}
	for _, fixture := range fixtures {
		t.Run(filepath.Base(fixture), func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			copyTree(t, fixture, filepath.Join(data, "store"))
			want, err := os.ReadFile(filepath.Join(fixture, "dump.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			compare := func(when string) {
				t.Helper()
				out, err := exec.Command(theBinary(t), "store", "dump", "--data", data).Output() // the damage goes to standard error
				if string(out) != string(want) {
					t.Fatalf("%s: %v\n%s\nwant\n%s", when, err, out, want)
				}
			}
			compare("as it was")
			s, err := harness.New(theBinary(t), data)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Start(); err != nil {
				t.Fatal(err)
			}
			if out, code := command(t, "", "check", "--data", data); code != 1 || !strings.Contains(out, `bob@example.org, mailbox "INBOX", UID 2: `) || !strings.Contains(out, "1 findings") {
				t.Errorf("check: %s, code %d", out, code)
			}
			if got := strings.Join(imapDo(t, s, "bob@example.org", "SELECT INBOX", "FETCH 3 BODY.PEEK[TEXT]"), "\n"); !strings.Contains(got, "the last one") {
				t.Errorf("FETCH: %s", got)
			}
			s.Stop()
			compare("after it was served")
			if out, code := command(t, "", "repair", "--yes", "--data", data); code != 0 {
				t.Errorf("repair: %s, code %d", out, code)
			}
			if out, code := command(t, "", "check", "--data", data); code != 0 {
				t.Errorf("check after the repair: %s, code %d", out, code)
			}
		})
	}
}

// TestFormatQuota: limits are read where they were written (since 1.4), and are
// none where they were not.
func TestFormatQuota(t *testing.T) {
	for format, want := range map[string]string{
		"1.3": "bob@example.org: 204 octets (limit none), 3 messages (limit none)\n",
		"1.4": "bob@example.org: 204 octets (limit 10GiB, its own), 3 messages (limit none, its own)\n",
	} {
		data := filepath.Join(t.TempDir(), "data")
		copyTree(t, "testdata/stores/"+format, filepath.Join(data, "store"))
		if out, code := command(t, "", "quota", "list", "--data", data); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: %s, code %d; want %s", format, out, code, want)
		}
	}
}

// TestFormatPush: registrations of devices are read where they were written
// (since 1.7), as of the time when they were.
func TestFormatPush(t *testing.T) {
	for format, want := range map[string]string{"1.4": "", "1.7": "\x00phone 0715A26B-CA09-4730-A419-793000CA982E 2: INBOX Sent"} {
		e, err := local.Open(t.Context(), vfs.Disk{ReadOnly: true}, "testdata/stores/"+format, local.Options{Now: time.Now, ReadOnly: true, IndexDir: filepath.Join(t.TempDir(), "index")})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		s, err := store.Open(t.Context(), e, store.Options{Now: func() time.Time { return time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC) }, PurgeEvery: -1, ScrubEvery: -1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		info, err := s.AccountInfo(t.Context(), "ada@example.org")
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.Account(t.Context(), info.ID)
		if err != nil {
			t.Fatal(err)
		}
		v, err := a.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range v.Pushes() {
			got += fmt.Sprintf("%s %s %d:", p.Device, p.AccountID, p.Version)
			for _, id := range p.Mailboxes {
				box, err := v.MailboxByID(id)
				if err != nil {
					t.Fatal(err)
				}
				got += " " + box.Name
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}

// TestNewerFormat: data of a newer major format are refused, naming what is
// needed, and not changed.
func TestNewerFormat(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	copyTree(t, "testdata/stores/1.1", filepath.Join(data, "store"))
	name := filepath.Join(data, "store", "FORMAT")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint16(b[8:], 2)
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"serve", "check", "user list", "repair --yes"} {
		out, code := command(t, "", append(strings.Fields(args), "--data", data)...)
		if code == 0 || !strings.Contains(out, "it needs angarium of format 2 or newer") {
			t.Errorf("%s: %s, code %d", args, out, code)
		}
	}
	if after, err := os.ReadFile(name); err != nil || string(after) != string(b) {
		t.Errorf("FORMAT was changed: %v", err)
	}
}
