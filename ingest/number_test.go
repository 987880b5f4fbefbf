package ingest

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	wholeNumber = regexp.MustCompile(`^[+-]?[0-9]+$`)
	realNumber  = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)
)

func checkNumber(t interface{ Fatalf(string, ...any) }, s string) {
	wantInt, err := strconv.ParseInt(s, 10, 64)
	wantOK := err == nil && wholeNumber.MatchString(s)
	if v, ok := parseInt([]byte(s)); ok != wantOK || ok && v != wantInt {
		t.Fatalf("parseInt(%q) = %d, %v; want %d, %v", s, v, ok, wantInt, wantOK)
	}
	want64, err := strconv.ParseFloat(s, 64)
	wantOK = err == nil && realNumber.MatchString(s)
	if v, ok := parseFloat64([]byte(s)); ok != wantOK || ok && math.Float64bits(v) != math.Float64bits(want64) {
		t.Fatalf("parseFloat64(%q) = %v, %v; want %v, %v", s, v, ok, want64, wantOK)
	}
	want32, err := strconv.ParseFloat(s, 32)
	wantOK = err == nil && realNumber.MatchString(s)
	if v, ok := parseFloat32([]byte(s)); ok != wantOK || ok && math.Float32bits(v) != math.Float32bits(float32(want32)) {
		t.Fatalf("parseFloat32(%q) = %v, %v; want %v, %v", s, v, ok, want32, wantOK)
	}
}

var numbers = []string{
	"", "0", "-0", "+0", "-", "+", ".", "-.", "1", "+1", "007", "1 ", " 1", "1_000", "0x10", "0x1p4", "1,5", "1e", "1e+", "e5", ".e5",
	"inf", "-Inf", "nan", "NaN", "infinity", "1.5", ".5", "5.", "-5.e3", "1.2.3", "1-2", "--1", "1e5", "1E-5", "1e5.5", "1e999", "1e-999", "1e0000000001",
	"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "9223372036854775810",
	"18446744073709551616", "92233720368547758070", "00000000000000000000000000000000001",
	"16777215", "16777216", "16777217", "0.16777217", "9007199254740991", "9007199254740993", "0.1", "2.55", "3.4028235e38", "3.4028236e38", "340282350000000000000000000000000000000",
	"3.5e38", "0.3", "1.0000000596046448", "0.00000000001", "0.0000000000000000000001", "0.00000000000000000000001", "\x00", "１",
}

func TestNumbers(t *testing.T) {
	for _, s := range numbers {
		checkNumber(t, s)
	}
	for _, s := range []string{strings.Repeat("9", 400), "0." + strings.Repeat("1", 400), strings.Repeat("0", 400) + "1.5"} {
		checkNumber(t, s)
	}
}

func TestNumbersOracle(t *testing.T) {
	number := rapid.StringMatching(`[+-]?[0-9]{0,22}(\.[0-9]{0,24})?([eE][+-]?[0-9]{0,3})?`)
	rapid.Check(t, func(t *rapid.T) { checkNumber(t, number.Draw(t, "number")) })
	rapid.Check(t, func(t *rapid.T) {
		checkNumber(t, strconv.FormatFloat(float64(rapid.Float32().Draw(t, "f")), 'g', -1, 32))
	})
	rapid.Check(t, func(t *rapid.T) { checkNumber(t, strconv.FormatInt(rapid.Int64().Draw(t, "i"), 10)) })
	price := rapid.StringMatching(`-?[0-9]{1,8}\.[0-9]{1,8}`)
	rapid.Check(t, func(t *rapid.T) { checkNumber(t, price.Draw(t, "price")) })
}

func FuzzNumber(f *testing.F) {
	for _, s := range numbers {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { checkNumber(t, s) })
}

func TestParseBool(t *testing.T) {
	for s, want := range map[string]bool{"true": true, "TRUE": true, "tRuE": true, "false": false, "False": false} {
		if v, ok := parseBool([]byte(s)); !ok || v != want {
			t.Errorf("parseBool(%q) = %v, %v", s, v, ok)
		}
	}
	for _, s := range []string{"", "t", "1", "0", "yes", "true ", "fals", "\x14rue", "TRUEE"} {
		if _, ok := parseBool([]byte(s)); ok {
			t.Errorf("parseBool(%q) is accepted", s)
		}
	}
}
