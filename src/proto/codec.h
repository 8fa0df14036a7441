/* What every codec answers. Pure. Layer: proto. */
#pragma once

enum hf_codec {
    HF_CODEC_NEED_MORE, /* well-formed so far; call again with the same bytes and more */
    HF_CODEC_DONE,
    HF_CODEC_BAD, /* the peer's fault; the object holds the reason */
};
