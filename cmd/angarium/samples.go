package main

import (
	"strings"
	"time"
)

// samples returns messages of the kinds that people have: plain text, HTML
// with an attachment, a thread, and text beyond ASCII.
func samples(to string, now time.Time) []string {
	date := func(ago time.Duration) string { return now.Add(-ago).Format("Mon, 2 Jan 2006 15:04:05 -0700") }
	all := []string{
		`From: Bela <bela@localhost>
To: ` + to + `
Subject: Welcome to Angarium
Date: ` + date(3*time.Hour) + `
Message-ID: <welcome@try.localhost>

This is a plain message. Everything you do here goes away with Ctrl-C,
unless you said --dir.
`,
		`From: Bela <bela@localhost>
To: ` + to + `
Subject: The figures
Date: ` + date(2*time.Hour) + `
Message-ID: <figures@try.localhost>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

--outer
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset=utf-8

The figures are in the attachment.

--inner
Content-Type: text/html; charset=utf-8

<p>The figures are in the <b>attachment</b>.</p>

--inner--
--outer
Content-Type: text/csv; name="figures.csv"
Content-Disposition: attachment; filename="figures.csv"
Content-Transfer-Encoding: base64

bW9udGgsbGV0dGVycwpPY3RvYmVyLDMxCk5vdmVtYmVyLDMwCg==
--outer--
`,
		`From: Bela <bela@localhost>
To: ` + to + `
Subject: Lunch on Friday?
Date: ` + date(90*time.Minute) + `
Message-ID: <lunch1@try.localhost>

At the usual place, at noon?
`,
		`From: ` + to + `
To: Bela <bela@localhost>
Cc: ` + to + `
Subject: Re: Lunch on Friday?
Date: ` + date(time.Hour) + `
Message-ID: <lunch2@try.localhost>
In-Reply-To: <lunch1@try.localhost>
References: <lunch1@try.localhost>

> At the usual place, at noon?

Gladly. Half past, rather.
`,
		`From: =?utf-8?q?J=C3=BCrgen_=C5=BDi=C5=BEka?= <jurgen@localhost>
To: ` + to + `
Subject: =?utf-8?b?R3LDvMOfZSBhdXMgS8O2bG4g4pyJ?=
Date: ` + date(30*time.Minute) + `
Message-ID: <umlauts@try.localhost>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Schöne Grüße, τι κάνεις, 你好.
`,
	}
	for i := range all {
		all[i] = strings.TrimSuffix(strings.ReplaceAll(all[i], "\n", "\r\n"), "\r\n")
	}
	return all
}
