#include "proto/der/der.h"

#include "proto/base/utf8.h"
#include "proto/der/internal.h"
#include "proto/err.h"

static bool octet_in(struct slice s, uint8_t a, uint8_t b)
{
    return s.n == 1 && (s.p[0] == a || s.p[0] == b);
}

// integer_valid: at least one octet, and the first nine bits are not all equal.
static bool integer_valid(struct slice s)
{
    if (s.n == 0) return false;
    if (s.n == 1) return true;
    bool padded = (s.p[0] == 0x00 && s.p[1] < 0x80) || (s.p[0] == 0xff && s.p[1] >= 0x80);
    return !padded;
}

// bits_valid: the count of unused bits fits, and those bits are zero.
static bool bits_valid(struct slice s)
{
    if (s.n == 0 || s.p[0] > 7) return false;
    if (s.n == 1) return s.p[0] == 0;
    return (s.p[s.n - 1] & ((1u << s.p[0]) - 1)) == 0;
}

// oid_valid: whole arcs, each in its shortest form.
static bool oid_valid(struct slice s)
{
    bool begins = true;
    for (size_t i = 0; i < s.n; i++) {
        if (begins && s.p[i] == 0x80) return false;
        begins = s.p[i] < 0x80;
    }
    return s.n > 0 && begins;
}

static bool bmp_valid(struct slice s)
{
    for (size_t i = 0; i + 1 < s.n; i += 2) {
        if (s.p[i] >= 0xd8 && s.p[i] <= 0xdf)
            return false; // a surrogate, which UCS-2 does not have
    }
    return s.n % 2 == 0;
}

static bool universal_text_valid(struct slice s)
{
    for (size_t i = 0; i + 3 < s.n; i += 4) {
        uint32_t c = (uint32_t)s.p[i] << 24 | (uint32_t)s.p[i + 1] << 16 |
                     (uint32_t)s.p[i + 2] << 8 | s.p[i + 3];
        if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return false;
    }
    return s.n % 4 == 0;
}

static bool time_valid(struct slice s, bool generalized)
{
    int64_t t;
    return !failed(der_time_parse(&t, s, generalized));
}

// primitive_valid checks the content of a universal type that is no container. A type that is not
// listed is refused, and so is every constructed string, whose tag differs.
static bool primitive_valid(CBS_ASN1_TAG tag, struct slice s)
{
    switch (tag) {
    case CBS_ASN1_BOOLEAN:
        return octet_in(s, 0x00, 0xff);
    case CBS_ASN1_INTEGER:
    case CBS_ASN1_ENUMERATED:
        return integer_valid(s);
    case CBS_ASN1_BITSTRING:
        return bits_valid(s);
    case CBS_ASN1_NULL:
        return s.n == 0;
    case CBS_ASN1_OBJECT:
        return oid_valid(s);
    case CBS_ASN1_UTF8STRING:
        return utf8_valid(s);
    case CBS_ASN1_BMPSTRING:
        return bmp_valid(s);
    case CBS_ASN1_UNIVERSALSTRING:
        return universal_text_valid(s);
    case CBS_ASN1_UTCTIME:
        return time_valid(s, false);
    case CBS_ASN1_GENERALIZEDTIME:
        return time_valid(s, true);
    case CBS_ASN1_OCTETSTRING:
    case CBS_ASN1_NUMERICSTRING:
    case CBS_ASN1_PRINTABLESTRING:
    case CBS_ASN1_T61STRING:
    case CBS_ASN1_IA5STRING:
    case CBS_ASN1_VISIBLESTRING:
        return true;
    default:
        return false;
    }
}

static bool values_valid(CBS *in, unsigned depth);

static bool value_valid(CBS *in, unsigned depth)
{
    CBS contents;
    CBS_ASN1_TAG tag;
    if (depth > DER_DEPTH_MAX || !CBS_get_any_asn1(in, &contents, &tag)) return false;
    bool universal = (tag & CBS_ASN1_CLASS_MASK) == CBS_ASN1_UNIVERSAL;
    bool container = universal ? tag == CBS_ASN1_SEQUENCE || tag == CBS_ASN1_SET
                               : (tag & CBS_ASN1_CONSTRUCTED) != 0;
    if (container) return values_valid(&contents, depth + 1);
    return !universal || primitive_valid(tag, slice_of_cbs(&contents));
}

static bool values_valid(CBS *in, unsigned depth)
{
    while (CBS_len(in) > 0) {
        if (!value_valid(in, depth)) return false;
    }
    return true;
}

struct err der_check(struct slice der)
{
    CBS in = cbs_of_slice(der);
    return value_valid(&in, 1) && CBS_len(&in) == 0 ? OK : ERR(BAD_DER);
}

// two_digits reads a number of two digits, -1 when it is none.
static int two_digits(const uint8_t *p)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') return -1;
    return (p[0] - '0') * 10 + p[1] - '0';
}

static bool leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

static int64_t days_since_1970(int year, int month, int day)
{
    int64_t y = year - 1; // whole years before this one
    int64_t days = y * 365 + y / 4 - y / 100 + y / 400 - 719162;
    for (int m = 1; m < month; m++) days += month_days(year, m);
    return days + day - 1;
}

struct err der_time_parse(int64_t *out, struct slice text, bool generalized)
{
    if (text.n != (generalized ? 15 : 13) || text.p[text.n - 1] != 'Z') return ERR(BAD_DER);
    const uint8_t *p = text.p + (generalized ? 2 : 0);
    int century = generalized ? two_digits(text.p) : 0;
    int year = two_digits(p), month = two_digits(p + 2), day = two_digits(p + 4);
    int hour = two_digits(p + 6), minute = two_digits(p + 8), second = two_digits(p + 10);
    if (century < 0 || year < 0 || month < 1 || month > 12 || day < 1) return ERR(BAD_DER);
    year += generalized ? century * 100 : year < 50 ? 2000 : 1900;
    if (year == 0 || day > month_days(year, month)) return ERR(BAD_DER);
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return ERR(BAD_DER);
    *out = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return OK;
}
