package main

import "encoding/json"

// receiptJSON is the receipt of a job as the ledger keeps it. The digest is that of its line in the ledger.
type receiptJSON struct {
	Digest  string          `json:"receiptDigest,omitempty"`
	Receipt json.RawMessage `json:"receipt,omitempty"`
}
