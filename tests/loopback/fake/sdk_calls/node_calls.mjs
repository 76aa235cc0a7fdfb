// What people do with the vendors' SDKs in JavaScript: arguments are the base URL and the key.

import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { GoogleGenAI } from "@google/genai";
import { generateImage, generateText } from "ai";
import OpenAI from "openai";
import Replicate from "replicate";

const [url, key] = process.argv.slice(2);
const google = "gemini-3-pro-image";
const tools = [{ type: "image_generation", size: "1536x1024", quality: "low" }];
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
const genai = (apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } });
const sdkOpenAI = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const sdkGoogle = createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key });

function sizeOf(base64) {
    const data = Buffer.from(base64, "base64");
    if (data[0] === 0x89) return `png ${data.readUInt32BE(16)}x${data.readUInt32BE(20)}`;
    const at = data.indexOf(Buffer.from([0xff, 0xc0])) + 5;
    return `jpeg ${data.readUInt16BE(at + 2)}x${data.readUInt16BE(at)}`;
}

const calls = {
    async openai_generate() {
        const request = { model: "gpt-image-2", prompt: "a cat", size: "1536x1024", quality: "low" };
        const answer = await openai.images.generate(request);
        return [sizeOf(answer.data[0].b64_json), answer.usage.output_tokens];
    },
    async openai_respond() {
        const answer = await openai.responses.create({ model: "gpt-5.4", input: "a cat", tools });
        return sizeOf(answer.output[0].result);
    },
    async openai_wrong_key() {
        const wrong = openai.withOptions({ apiKey: "wrong" });
        return await wrong.images.generate({ model: "gpt-image-2", prompt: "a cat" });
    },
    async google_generate() {
        const config = { imageConfig: { aspectRatio: "16:9", imageSize: "2K" } };
        const answer = await genai(key).models.generateContent({
            model: google,
            contents: "a cat",
            config,
        });
        const part = answer.candidates[0].content.parts.find((one) => one.inlineData);
        return [sizeOf(part.inlineData.data), answer.usageMetadata.candidatesTokenCount];
    },
    async google_stream() {
        const request = { model: google, contents: "a cat" };
        let images = 0;
        for await (const chunk of await genai(key).models.generateContentStream(request)) {
            images += chunk.candidates[0].content.parts.filter((one) => one.inlineData).length;
        }
        return images;
    },
    async google_wrong_key() {
        return await genai("wrong").models.generateContent({ model: google, contents: "a cat" });
    },
    async ai_openai_image() {
        const model = sdkOpenAI.image("gpt-image-2");
        const answer = await generateImage({ model, prompt: "a cat", size: "1536x1024", maxRetries: 0 });
        return sizeOf(answer.image.base64);
    },
    async ai_google_image() {
        const model = sdkGoogle.image(google);
        const answer = await generateImage({ model, prompt: "a cat", aspectRatio: "16:9", maxRetries: 0 });
        return sizeOf(answer.image.base64);
    },
    async ai_google_text() {
        const answer = await generateText({ model: sdkGoogle(google), prompt: "a cat", maxRetries: 0 });
        return [answer.text, answer.files.map((file) => sizeOf(file.base64))];
    },
    async replicate_run() {
        const client = new Replicate({ auth: key, baseUrl: `${url}/replicate/v1`, useFileOutput: false });
        const link = await client.run("google/nano-banana-pro", { input: { prompt: "a cat" } });
        return sizeOf(Buffer.from(await (await fetch(link)).arrayBuffer()).toString("base64"));
    },
};

for (const [name, call] of Object.entries(calls)) {
    let result;
    try {
        result = JSON.stringify(await call());
    } catch (error) {
        result = `${error.constructor.name} ${error.status}`;
    }
    console.log(JSON.stringify([name, result]));
}
